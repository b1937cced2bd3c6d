//! Compares the console's output with the expected texts.

use std::collections::VecDeque;

use devices::printable::ToPrintable;

use super::{
    pattern::{Pattern, Position, Step},
    plain::Plain,
};

/// The number of bytes of output that are kept for messages.
const KEPT: usize = 4096;
/// The most lines in a message.
const LINES: usize = 12;

/// Looks for one pattern after another in a stream. It makes no difference how the stream is cut into pieces; pauses matter, by
/// [`Matcher::pause`].
#[derive(Debug)]
pub(crate) struct Matcher {
    plain: Plain,
    patterns: Vec<Pattern>,
    /// The number of patterns that are met.
    met: usize,
    /// The state of the search for the next pattern.
    position: Option<Position>,
    /// The last byte of text.
    last: Option<u8>,
    /// The end of the text, for messages.
    kept: VecDeque<u8>,
    /// The number of bytes so far.
    count: u64,
}

impl Matcher {
    /// Makes a matcher for these patterns, in order.
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        let mut matcher = Self {
            plain: Plain::default(),
            patterns,
            met: 0,
            position: None,
            last: None,
            kept: VecDeque::new(),
            count: 0,
        };
        matcher.look_for_next();
        matcher
    }

    /// Handles more output. Returns whether a pattern was met.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> bool {
        self.count += bytes.len() as u64;
        let before = self.met;
        for &byte in bytes {
            // There is nothing left to look for.
            if self.position.is_none() {
                break;
            }
            for byte in self.plain.push(byte) {
                self.take(byte);
            }
        }
        self.met > before
    }

    /// Handles a pause in the guest's output. Returns whether a pattern was met by that.
    pub(crate) fn pause(&mut self) -> bool {
        let ends = |(position, pattern): (Position, &Pattern)| pattern.ends_at(position);
        let is_met = self.position.zip(self.patterns.get(self.met)).is_some_and(ends);
        if is_met {
            self.meet();
        }
        is_met
    }

    /// The number of patterns that are met.
    pub(crate) fn met(&self) -> usize {
        self.met
    }

    /// The number of bytes passed to [`Matcher::feed`].
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The last lines of the output, made printable.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let kept: Vec<u8> = self.kept.iter().copied().collect();
        let mut lines: Vec<_> = kept.trim_ascii_end().rsplit(|&byte| byte == b'\n').take(LINES).collect();
        lines.reverse();
        lines.iter().map(|line| line.printable().to_string()).skip_while(String::is_empty).collect()
    }

    fn take(&mut self, byte: u8) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(byte);
        while let (Some(position), Some(pattern)) = (self.position, self.patterns.get(self.met)) {
            match pattern.step(position, byte) {
                Step::On(position) => {
                    self.position = Some(position);
                    break;
                }
                Step::Found => {
                    self.last = Some(byte);
                    self.meet();
                    break;
                }
                // The byte belongs to the text for the next pattern.
                Step::FoundBefore => self.meet(),
            }
        }
        self.last = Some(byte);
    }

    fn meet(&mut self) {
        self.met += 1;
        self.look_for_next();
    }

    fn look_for_next(&mut self) {
        self.position = self.patterns.get(self.met).map(|pattern| pattern.start(self.last));
    }
}

#[cfg(test)]
#[path = "matcher_test.rs"]
mod tests;
