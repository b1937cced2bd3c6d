//! The strings of a structure.

/// Strings, which follow a structure and which it refers to by number (DSP0134, "Text strings").
#[derive(Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    count: u8,
}

impl Strings {
    /// Adds a string, up to its first NUL, and returns its number: 0, which means no string, if it is empty or there are 255 already.
    pub(super) fn add(&mut self, text: &str) -> u8 {
        let text = text.split('\0').next().unwrap_or_default();
        let Some(number) = self.count.checked_add(1).filter(|_| !text.is_empty()) else { return 0 };
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
        self.count = number;
        number
    }

    /// Adds a string if there is one.
    pub(super) fn add_if(&mut self, text: Option<&String>) -> u8 {
        text.map_or(0, |text| self.add(text))
    }

    /// Returns their number.
    pub(super) fn count(&self) -> u8 {
        self.count
    }

    /// All strings, each with a NUL, and one more NUL at the end; two NULs if there are no strings.
    pub(super) fn as_bytes(&self) -> Vec<u8> {
        let end: &[u8] = if self.count == 0 { &[0, 0] } else { &[0] };
        [&self.bytes, end].concat()
    }
}
