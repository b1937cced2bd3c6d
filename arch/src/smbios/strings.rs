//! The strings of a structure.

/// Strings, which a structure refers to by their numbers, and which follow it (DSP0134, "Text strings").
#[derive(Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    count: u8,
}

impl Strings {
    /// Adds a string, and returns its number: 0, which is none, if it is empty. It ends before a NUL, and there are at most 255.
    pub(super) fn add(&mut self, text: &str) -> u8 {
        let text = text.split('\0').next().unwrap_or_default();
        let Some(number) = self.count.checked_add(1).filter(|_| !text.is_empty()) else { return 0 };
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
        self.count = number;
        number
    }

    /// Adds a string that may not be there.
    pub(super) fn add_if(&mut self, text: Option<&String>) -> u8 {
        text.map_or(0, |text| self.add(text))
    }

    /// Returns their number.
    pub(super) fn count(&self) -> u8 {
        self.count
    }

    /// All of them, each with a NUL, and one more; without any, two NULs.
    pub(super) fn as_bytes(&self) -> Vec<u8> {
        let end: &[u8] = if self.count == 0 { &[0, 0] } else { &[0] };
        [&self.bytes, end].concat()
    }
}
