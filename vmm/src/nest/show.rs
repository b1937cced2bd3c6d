//! A finished run, for those who read it: a table for the terminal, JUnit for CI, a page of HTML.
//!
//! Much of a record is what the levels said of themselves, and a broken one may say anything: text goes through [`plain`]
//! or [`escape`].

mod differences;
mod html;
mod junit;
mod table;
mod timeline;

use devices::printable::is_plain;

use super::record::{DiskRecord, LevelRecord, Record, Status, Verdict};
use crate::stats;

pub use html::html;
pub use junit::junit;
pub use table::table;

/// The longest text that a level has a say in, but for its console.
const LONGEST: usize = 60;

/// The whole run in a line: `3 levels passed in 59.1 s`.
#[must_use]
pub fn summary(record: &Record) -> String {
    let levels = if record.wanted == 1 { "1 level".to_owned() } else { format!("{} levels", record.wanted) };
    match &record.verdict {
        Verdict::Passed => format!("{levels} passed in {}", seconds(record.seconds)),
        Verdict::Failed { level, kind, .. } => {
            format!("level {level} of {} failed after {}: {kind}", record.wanted, seconds(record.seconds))
        }
        Verdict::Skipped { why } => format!("{levels} skipped: {}", one_line(why)),
    }
}

/// What is known of a level, as the cells of a row.
struct Cells {
    cpu: String,
    kernel: String,
    nesting: String,
    /// From its VMM's start to its /init.
    boot: String,
    /// From there until its KVM is loaded.
    kvm: String,
    /// From there until its first guest runs.
    entry: String,
    disk: String,
    /// All exits of its guest.
    exits: String,
}

impl Cells {
    fn new(record: &Record, level: &LevelRecord) -> Self {
        let dash = || "-".to_owned();
        let took = |from, to| between(from, to).map_or_else(dash, seconds);
        let facts = level.facts.as_ref();
        Self {
            cpu: facts.map_or_else(dash, |facts| short_cpu(&plain(&facts.cpu))),
            kernel: facts.map_or_else(dash, |facts| plain(&facts.kernel)),
            nesting: facts.map_or_else(dash, |facts| match facts.nesting.as_str() {
                "" => "none".to_owned(),
                nesting => plain(nesting),
            }),
            boot: took(level.started, level.up),
            kvm: took(level.up, level.kvm_loaded),
            entry: took(level.kvm_loaded.or(level.up), level.first_entry),
            disk: match &level.disk {
                Some(disk) => self::disk(record, disk),
                None if level.level > 0 && level.up.is_some() => "not done".to_owned(),
                None => dash(),
            },
            exits: level.exits.get("exits").map_or_else(dash, |&exits| thousands(exits)),
        }
    }
}

/// `812/640 MB/s`, read and written, where the level's clock is real; else only whether it is right.
fn disk(record: &Record, disk: &DiskRecord) -> String {
    if !disk.verified {
        return "only inside".to_owned();
    }
    let rate = |took: f64| {
        let kilobytes = f64::from(u32::try_from(disk.bytes / 1000).unwrap_or(u32::MAX));
        (took > 0.0).then(|| format!("{:.0}", kilobytes / 1000.0 / took))
    };
    match (emulated(record), rate(disk.read_seconds), rate(disk.write_seconds)) {
        (false, Some(read), Some(write)) => format!("{read}/{write} MB/s"),
        _ => "ok".to_owned(),
    }
}

/// Whether level 0 is an emulator's machine, whose clock follows no other.
fn emulated(record: &Record) -> bool {
    record.host != THIS_MACHINE
}

/// What a record calls a host that is not emulated.
const THIS_MACHINE: &str = "this machine";

/// Whether it is the level that failed, and not one that had to end with it.
fn is_to_blame(record: &Record, level: u32) -> bool {
    matches!(record.verdict, Verdict::Failed { level: blamed, .. } if blamed == level)
}

fn status(record: &Record, level: &LevelRecord) -> &'static str {
    match level.status {
        Status::Passed => "passed",
        Status::Failed if !is_to_blame(record, level.level) => "cut off",
        Status::Failed => "FAILED",
        Status::Skipped => "skipped",
        Status::NotReached => "not reached",
    }
}

/// The exits of a level's guest that have a reason, the most frequent first, then its own guests' entries.
fn reasons(level: &LevelRecord) -> Vec<(String, u64)> {
    let mut reasons: Vec<_> =
        stats::by_reason(&level.exits).into_iter().map(|(reason, count)| (plain(reason), count)).collect();
    if let Some(&entries @ 1..) = level.exits.get("nested_run") {
        reasons.push(("nested entries".to_owned(), entries));
    }
    reasons
}

fn between(from: Option<f64>, to: Option<f64>) -> Option<f64> {
    Some((to? - from?).max(0.0))
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Without trademarks, frequency and what every CPU is: `Intel Xeon Gold 6230` for `Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz`.
fn short_cpu(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    let name =
        ["(R)", "(r)", "(TM)", "(tm)"].iter().fold(name.to_owned(), |name, mark| name.replace(mark, ""));
    let words = name.split_whitespace().filter(|word| !["CPU", "Processor"].contains(word));
    let words: Vec<_> = words.filter(|word| !word.ends_with("-Core")).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

/// At most [`LONGEST`] characters, and none that moves a terminal's cursor or ends a line.
fn plain(text: &str) -> String {
    shortened(&one_line(text), LONGEST)
}

/// The text without characters that move a terminal's cursor or end a line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Text inside elements and attributes of XML and HTML. Characters that XML can't have are replaced.
///
/// Extensible Markup Language (XML) 1.0, "Characters".
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c if !is_plain(c) => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
#[path = "show/show_test.rs"]
mod tests;
