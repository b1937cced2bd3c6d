//! Puts reports together again that a kernel's message has split.
//!
//! A kernel writes its messages to the console even in the middle of a line of which a program has written a part. The rest of that line
//! follows them.

use std::mem;

use super::child::LINE_MAX;
use super::report::{Line, Said};

/// Reads the lines of a level's console.
#[derive(Debug)]
pub(super) struct Joined {
    level: u32,
    last: u32,
    /// The beginning of a report whose rest has not come yet.
    part: Vec<u8>,
}

impl Joined {
    /// Makes a reader for the console of `level`, which can also report about levels up to `last`.
    pub(super) fn new(level: u32, last: u32) -> Self {
        Self { level, last, part: Vec::new() }
    }

    /// Reads a line without its end. Returns the lines that are complete.
    pub(super) fn read(&mut self, line: &[u8]) -> Vec<Line> {
        let as_it_is = self.parse(line);
        let is_report = !matches!(as_it_is.said, Said::Text(_));
        match split(line) {
            // Its rest may still come.
            (b"", Some(_)) => vec![as_it_is],
            (begin, Some(message)) if !is_report && (!self.part.is_empty() || Line::is_begun(begin)) => {
                self.part.extend_from_slice(begin);
                let mut lines = vec![self.parse(message)];
                if self.part.len() > LINE_MAX {
                    lines.splice(..0, self.end());
                }
                lines
            }
            _ if is_report || self.part.is_empty() => self.end().into_iter().chain([as_it_is]).collect(),
            _ => {
                let whole = self.parse(&[&self.part, line].concat());
                if let Said::Text(_) = whole.said {
                    return self.end().into_iter().chain([as_it_is]).collect();
                }
                self.part.clear();
                vec![whole]
            }
        }
    }

    /// Returns the beginning of an incomplete report, as text.
    pub(super) fn end(&mut self) -> Option<Line> {
        let part = mem::take(&mut self.part);
        (!part.is_empty()).then(|| self.parse(&part))
    }

    fn parse(&self, line: &[u8]) -> Line {
        Line::parse(line, self.level, self.last)
    }
}

/// Splits `line` before a kernel's message, which begins with its time: `[   12.345678] `.
fn split(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = (0..line.len()).find(|&at| is_message(&line[at..]));
    at.map_or((line, None), |at| (&line[..at], Some(&line[at..])))
}

fn is_message(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"[") else { return false };
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest.trim_ascii_start();
    let seconds = digits(rest);
    let Some(rest) = rest[seconds..].strip_prefix(b".") else { return false };
    seconds > 0 && digits(rest) == 6 && rest[6..].starts_with(b"] ")
}

#[cfg(test)]
#[path = "joined_test.rs"]
mod tests;
