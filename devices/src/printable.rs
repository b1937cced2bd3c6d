//! Text from images, guests and file names, made safe to print.
//!
//! Whoever made an image chose the names in it, and a terminal interprets what it is sent: an escape sequence in a name can repaint an
//! error message, a line feed can forge a second one, and a change of direction can make a name look like another. So text that nvmm did
//! not write itself is shown by [`Printable`]. All bytes are kept: [`Untrusted`] holds the original text.

use std::{
    ffi::OsStr,
    fmt::{self, Debug, Display, Formatter, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// Shows text in one line. Characters with an effect on a terminal, and bytes that are not UTF-8, become escapes: `\x1b`, `\u{202e}`.
#[derive(Clone, Copy)]
pub struct Printable<'a>(&'a [u8]);

/// Shows text in as many lines as it has, and otherwise as [`Printable`] does.
#[derive(Clone, Copy, Debug)]
pub struct PrintableLines<'a>(pub &'a str);

/// Gives a text its [`Printable`] form.
pub trait ToPrintable {
    /// The printable form.
    fn printable(&self) -> Printable<'_>;
}

/// Text that nvmm did not choose, which may be any bytes. Its `Display` and `Debug` are [`Printable`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Untrusted(Vec<u8>);

/// Returns whether a terminal just shows `c`: it is no control character (C0, DEL, C1), does not change the direction of the following
/// text, ends no line, and takes up space.
#[must_use]
pub fn is_plain(c: char) -> bool {
    let is_invisible = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !is_invisible
}

impl ToPrintable for [u8] {
    fn printable(&self) -> Printable<'_> {
        Printable(self)
    }
}

impl ToPrintable for str {
    fn printable(&self) -> Printable<'_> {
        Printable(self.as_bytes())
    }
}

impl ToPrintable for OsStr {
    fn printable(&self) -> Printable<'_> {
        Printable(self.as_bytes())
    }
}

impl ToPrintable for Path {
    fn printable(&self) -> Printable<'_> {
        self.as_os_str().printable()
    }
}

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| show(c, f))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Writes the text in quotes, with a backslash before quotes in it.
impl Debug for Printable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (index, part) in self.0.split(|&byte| byte == b'"').enumerate() {
            if index > 0 {
                f.write_str("\\\"")?;
            }
            Display::fmt(&Printable(part), f)?;
        }
        f.write_char('"')
    }
}

impl Display for PrintableLines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if c == '\n' { f.write_char(c) } else { show(c, f) })
    }
}

fn show(c: char, f: &mut Formatter<'_>) -> fmt::Result {
    match c {
        c if is_plain(c) => f.write_char(c),
        '\n' | '\r' | '\t' => write!(f, "{}", c.escape_default()),
        c if c.is_ascii() => write!(f, "\\x{:02x}", u32::from(c)),
        c => write!(f, "{}", c.escape_unicode()),
    }
}

impl Untrusted {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The file that the bytes name.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }

    /// Returns whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text for JSON, with U+FFFD in place of bytes that are not UTF-8.
    #[must_use]
    pub fn to_lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for Untrusted {
    fn from(bytes: &T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl From<Vec<u8>> for Untrusted {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl Display for Untrusted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&Printable(&self.0), f)
    }
}

impl Debug for Untrusted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&Printable(&self.0), f)
    }
}

#[cfg(test)]
#[path = "printable_test.rs"]
mod tests;
