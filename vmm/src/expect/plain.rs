//! A console's output as text: without what only a terminal acts on.

const BELL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;

/// Takes escape sequences out of a stream, such as the colours of systemd's words, and makes line ends `\n` alone. A carriage return
/// within a line stays, unless an address for the cursor follows: SeaBIOS sends both in the middle of a word, and goes on with it.
///
/// A terminal waits for the end of a window's title for as long as it takes; here a line's end is also its end, so that a stray byte
/// hides no more than a line.
#[derive(Debug, Default)]
pub struct Plain {
    within: Within,
    /// A carriage return came, and may belong to a line's end.
    returned: bool,
}

/// ECMA-48, "Control functions".
#[derive(Clone, Copy, Debug, Default)]
enum Within {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// A sequence with parameters or intermediate bytes; true for a control sequence (CSI), whose final bytes are fewer.
    Sequence(bool),
    /// A control string, such as a window's title.
    String,
}

impl Plain {
    /// Takes one more byte, and gives the text that it completes.
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
            // A broken sequence ends with what can't belong to it.
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
