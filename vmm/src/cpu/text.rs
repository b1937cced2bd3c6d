//! Text for a terminal: lines of the terminal's width, or of 100 columns, and colour if it is wanted.

use std::{
    borrow::Cow,
    env,
    ffi::OsString,
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use rustix::termios::tcgetwinsize;

/// The width in columns if stdout is no terminal.
pub(crate) const WIDTH: usize = 100;
/// The smallest width in columns. A narrower terminal wraps the lines.
pub(crate) const NARROWEST: usize = 60;

/// The terminal's width in columns, once it was read.
static TERMINAL: OnceLock<usize> = OnceLock::new();

/// Makes lines as wide as the terminal, if stdout is one.
pub fn fit_terminal() {
    if let Ok(size) = tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        let _ = TERMINAL.set(usize::from(size.ws_col).max(NARROWEST));
    }
}

/// The width of a line in columns.
pub(crate) fn width() -> usize {
    TERMINAL.get().copied().unwrap_or(WIDTH)
}

/// Writes text in colour, or plain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// The choice for stdout: colour on a terminal, unless `NO_COLOR` is set (no-color.org).
    pub(crate) fn stdout() -> Self {
        Self(has_colour(&io::stdout()))
    }

    /// The choice for text that does not go to a terminal.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self(false);
    #[cfg(test)]
    pub(crate) const COLOURED: Self = Self(true);

    pub(crate) fn plain(self, text: &str) -> String {
        self.with("", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Fills lines with words, as many in each as fit after `indent` columns.
pub(crate) fn fill<T: AsRef<str>>(words: impl IntoIterator<Item = T>, indent: usize) -> Vec<String> {
    fill_to(width(), words, indent)
}

fn fill_to<T: AsRef<str>>(columns: usize, words: impl IntoIterator<Item = T>, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let word = word.as_ref();
        match lines.last_mut() {
            Some(line) if indent + line.len() + 1 + word.len() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Breaks a message with a list into lines for stderr, between the list's items, if that is a terminal. Elsewhere, as in a log, a message
/// is a line.
pub(super) fn list_on_stderr(message: &str) -> String {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => list_in(usize::from(size.ws_col).max(NARROWEST), message),
        Ok(_) => list_in(WIDTH, message),
        Err(_) => message.to_owned(),
    }
}

/// Breaks a message after `nvmm: ` between the items of its list, for this many columns.
fn list_in(columns: usize, message: &str) -> String {
    const BEFORE: usize = "nvmm: ".len();
    let items = comma(message.split(", ").map(str::to_owned));
    fill_to(columns, items, BEFORE).join(&format!("\n{:BEFORE$}", ""))
}

/// Adds a comma to each word but the last.
pub(crate) fn comma(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut words: Vec<_> = words.into_iter().map(|word| word + ",").collect();
    if let Some(last) = words.last_mut() {
        last.pop();
    }
    words
}

/// Writes a label, with lines of words next to it: `needs       avx xsave`.
pub(crate) fn block(label: &str, indent: usize, lines: &[String]) -> String {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        text.push_str(format!("{label:indent$}{line}").trim_end());
        text.push('\n');
    }
    text
}

/// Returns whether `stream` shows colour, and the user wants it.
pub(crate) fn has_colour(stream: &impl IsTerminal) -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !unwanted && !dumb
}

/// Returns whether what is written to `stream` may have signs that are not ASCII: it is no terminal, or the locale's letters are UTF-8.
pub(crate) fn has_signs(stream: &impl IsTerminal) -> bool {
    !stream.is_terminal() || is_utf8(["LC_ALL", "LC_CTYPE", "LANG"].map(env::var_os))
}

/// POSIX, "Internationalization Variables": the first of the three that is set and not empty counts. Without any, the letters are ASCII.
fn is_utf8(locale: [Option<OsString>; 3]) -> bool {
    let locale = locale.into_iter().flatten().find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The text with letters of ASCII, as wide, for nvmm's own signs.
pub(crate) fn in_ascii(text: &str) -> String {
    let ascii = |sign| match sign {
        '✓' => '+',
        '✗' => 'x',
        '·' => '.',
        '…' => '~',
        '–' | '—' => '-',
        '’' => '\'',
        other => other,
    };
    text.chars().map(ascii).collect()
}

/// Writes to stdout. A reader that has gone is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    let text = if has_signs(&stdout) { Cow::from(text) } else { Cow::from(in_ascii(text)) };
    match stdout.write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Removes the colours from a text.
#[cfg(test)]
pub(crate) fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, text)| text))
}

#[cfg(test)]
#[path = "text_test.rs"]
mod tests;
