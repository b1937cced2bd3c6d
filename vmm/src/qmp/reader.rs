//! JSON texts from a stream of arbitrary bytes, which arrives in pieces of any size.

use serde_json::Value;

/// The deepest nesting of lists and objects. QEMU's is 1024, which no command needs.
const DEEPEST: u32 = 64;

/// Finds the end of each JSON text, and parses it. Stores at most one text, and the bytes that were pushed last.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The longest text, in bytes.
    longest: usize,
    bytes: Vec<u8>,
    /// The start of the current text.
    start: usize,
    /// The position up to which it is scanned.
    read: usize,
    place: Place,
    depth: u32,
}

/// The scanner's state within a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between texts, or between the tokens of one.
    Gap,
    /// In a number, `true` or any other word, outside of lists and objects.
    Word,
    String,
    /// After a backslash.
    Escape,
}

/// The end of a text, valid or not.
enum End {
    /// Before the current byte.
    Before,
    /// After the current byte.
    After,
    /// After the current byte, which is not allowed there.
    Broken,
    TooDeep,
}

/// A fault in the stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The text isn't JSON. The next one may be.
    #[error("JSON parse error, {0}")]
    Syntax(String),
    /// The text is longer than allowed.
    #[error("JSON token size limit exceeded: a text has at most {0} bytes")]
    TooLong(usize),
    /// Lists or objects are nested too deeply.
    #[error("JSON nesting depth limit exceeded: at most {DEEPEST} lists and objects may be in each other")]
    TooDeep,
}

impl Fault {
    /// Returns whether the texts after it can be read.
    pub(crate) fn can_go_on(&self) -> bool {
        matches!(self, Self::Syntax(_))
    }
}

impl Reader {
    /// A reader of texts of up to `longest` bytes each.
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, bytes: Vec::new(), start: 0, read: 0, place: Place::Gap, depth: 0 }
    }

    /// Adds bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next complete text. After a [`Fault`] that can't go on, nothing more may be read.
    pub(crate) fn next(&mut self) -> Option<Result<Value, Fault>> {
        while let Some(&byte) = self.bytes.get(self.read) {
            let end = self.step(byte);
            if !matches!(end, Some(End::Before)) {
                self.read += 1;
            }
            if let Some(end) = end {
                let text = &self.bytes[self.start..self.read];
                let next = match end {
                    End::Before | End::After => {
                        serde_json::from_slice(text).map_err(|error| Fault::Syntax(error.to_string()))
                    }
                    End::Broken => Err(Fault::Syntax(format!("byte {byte:#04x} is out of place"))),
                    End::TooDeep => Err(Fault::TooDeep),
                };
                (self.start, self.place, self.depth) = (self.read, Place::Gap, 0);
                return Some(next);
            }
            if self.place == Place::Gap && self.depth == 0 {
                self.start = self.read;
            }
            if self.read - self.start > self.longest {
                return Some(Err(Fault::TooLong(self.longest)));
            }
        }
        self.bytes.drain(..self.start);
        (self.start, self.read) = (0, self.read - self.start);
        None
    }

    /// Scans the next byte. Returns the end of the text, if this is it.
    fn step(&mut self, byte: u8) -> Option<End> {
        // QEMU's clients send such bytes to have the text before them discarded.
        if matches!(byte, 0..=8 | 0xb | 0xc | 0xe..=0x1f | 0xfe | 0xff) {
            return Some(End::Broken);
        }
        match (self.place, byte) {
            // A JSON string can't continue on another line. The next line may be a text.
            (Place::String | Place::Escape, b'\n' | b'\r') => return Some(End::Broken),
            (Place::String, b'"') => {
                self.place = Place::Gap;
                return (self.depth == 0).then_some(End::After);
            }
            (Place::String, b'\\') => self.place = Place::Escape,
            (Place::String | Place::Escape, _) => self.place = Place::String,
            (Place::Word, b' ' | b'\t' | b'\n' | b'\r' | b'{' | b'}' | b'[' | b']' | b'"' | b',' | b':') => {
                return Some(End::Before);
            }
            (Place::Gap, b'"') => self.place = Place::String,
            (Place::Gap, b'{' | b'[') => {
                self.depth += 1;
                return (self.depth > DEEPEST).then_some(End::TooDeep);
            }
            (Place::Gap, b'}' | b']') => {
                let Some(depth) = self.depth.checked_sub(1) else { return Some(End::Broken) };
                self.depth = depth;
                return (depth == 0).then_some(End::After);
            }
            (Place::Gap, b' ' | b'\t' | b'\n' | b'\r') => {}
            (Place::Gap, _) if self.depth > 0 => {}
            (Place::Gap, b',' | b':') => return Some(End::Broken),
            (Place::Gap, _) => self.place = Place::Word,
            (Place::Word, _) => {}
        }
        None
    }
}

#[cfg(test)]
#[path = "reader_test.rs"]
mod tests;
