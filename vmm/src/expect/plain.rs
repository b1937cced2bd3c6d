//! Converts a console's output to plain text, without terminal control sequences.

const BELL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;

/// Removes escape sequences from a stream, such as the colours of systemd's messages, and makes each line end `\n`. A carriage return
/// within a line is kept, unless a sequence that moves the cursor follows: SeaBIOS sends both in the middle of a word, and then continues
/// the word.
///
/// A terminal waits for the end of a window's title without limit. Here, the end of the line also ends it, so that a stray byte hides at
/// most a line.
#[derive(Debug, Default)]
pub struct Plain {
    within: Within,
    /// A carriage return came, and may be part of a line end.
    returned: bool,
}

/// ECMA-48, "Control functions".
#[derive(Clone, Copy, Debug, Default)]
enum Within {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a sequence with parameters or intermediate bytes. True for a control sequence (CSI), which has fewer final bytes.
    Sequence(bool),
    /// In a control string, such as a window's title.
    String,
}

impl Plain {
    /// Handles one more byte, and returns the text that it completes.
    pub fn push(&mut self, byte: u8) -> impl Iterator<Item = u8> + use<> {
        let (within, is_text) = match (self.within, byte) {
            (Within::String, BELL | CANCEL | SUBSTITUTE) => (Within::Text, false),
            (_, ESCAPE) => (Within::Escape, false),
            (Within::Escape, b'[') => (Within::Sequence(true), false),
            (Within::Escape, b']' | b'P' | b'X' | b'^' | b'_') => (Within::String, false),
            (Within::Escape, 0x20..=0x2f) => (Within::Sequence(false), false),
            (Within::Sequence(true), 0x20..=0x3f) | (Within::Sequence(false), 0x20..=0x2f) => {
                (self.within, false)
            }
            (Within::Sequence(true), 0x40..=0x7e) => (Within::Text, false),
            (Within::Escape | Within::Sequence(false), 0x30..=0x7e) => (Within::Text, false),
            (Within::String, b'\n' | b'\r') => (Within::Text, true),
            (Within::String, _) => (Within::String, false),
            // A byte that can't belong to a sequence ends it.
            (Within::Text | Within::Escape | Within::Sequence(_), _) => (Within::Text, true),
        };
        if let (Within::Sequence(true), b'H') = (self.within, byte) {
            self.returned = false;
        }
        self.within = within;
        let text = if is_text { self.end_lines(byte) } else { [None; 2] };
        text.into_iter().flatten()
    }

    fn end_lines(&mut self, byte: u8) -> [Option<u8>; 2] {
        let returned = std::mem::replace(&mut self.returned, byte == b'\r');
        match byte {
            b'\r' => [None; 2],
            b'\n' => [Some(byte), None],
            _ => [returned.then_some(b'\r'), Some(byte)],
        }
    }
}

#[cfg(test)]
#[path = "plain_test.rs"]
mod tests;
