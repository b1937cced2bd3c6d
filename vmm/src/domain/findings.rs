//! Messages about a file, each given once with all its lines.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _};

/// The most lines in a message.
const MOST_LINES: usize = 5;
/// The most messages of one severity.
const MOST_MESSAGES: usize = 40;

/// The severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Information: the element changes nothing.
    Idle,
    /// A warning: the guest runs without it.
    Missing,
    /// An error: the machine is not started.
    Refused,
}

/// The messages about a file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: BTreeMap<(Severity, String, Cow<'static, str>), Vec<usize>>,
    refused: usize,
}

impl Findings {
    pub(super) fn add(&mut self, severity: Severity, line: usize, label: String, why: Cow<'static, str>) {
        self.refused += usize::from(severity == Severity::Refused);
        let lines = self.found.entry((severity, label, why)).or_default();
        // Binary search, since the check for unread elements goes backwards.
        if let Err(at) = lines.binary_search(&line) {
            lines.insert(at, line);
        }
    }

    /// The number of refusals.
    pub(super) fn refused(&self) -> usize {
        self.refused
    }

    /// The messages of one severity, in the order of their first lines.
    pub(super) fn messages(&self, wanted: Severity) -> Vec<String> {
        let mut found: Vec<_> = self.found.iter().filter(|((severity, ..), _)| *severity == wanted).collect();
        found.sort_by_key(|(_, lines)| lines.first().copied());
        let more = found.len().saturating_sub(MOST_MESSAGES);
        let mut messages: Vec<_> = found
            .into_iter()
            .take(MOST_MESSAGES)
            .map(|((_, label, why), lines)| format!("{}: {label}: {why}", places(lines)))
            .collect();
        if more > 0 {
            messages.push(format!("and {more} more like these"));
        }
        messages
    }
}

/// `line 4`, or `lines 4, 9 and 11`.
fn places(lines: &[usize]) -> String {
    let word = if lines.len() == 1 { "line" } else { "lines" };
    let (shown, more) = match lines.len() {
        ..=MOST_LINES => (lines, 0),
        all => (&lines[..MOST_LINES], all - MOST_LINES),
    };
    let mut text = String::from(word);
    for (at, line) in shown.iter().enumerate() {
        let between = match at {
            0 => " ",
            at if at + 1 == shown.len() && more == 0 => " and ",
            _ => ", ",
        };
        // Writing to a string can't fail.
        let _ = write!(text, "{between}{line}");
    }
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}
