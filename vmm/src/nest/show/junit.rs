//! The run as JUnit XML: a suite with a test for each level, as CI systems read it.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::cells::{Cells, summary};
use super::program;
use super::words::{between, escape};
use crate::nest::record::{LevelRecord, Record, Status, Verdict};

const SUITE: &str = "nvmm-nest";

/// The end of a test case.
enum Outcome<'a> {
    Passed,
    /// The failure in a word, in a sentence, and the console's end.
    Failed(String, String, &'a [String]),
    Skipped(String),
}

/// The run as a document; each level is a test case, and those that never ran are skipped.
#[must_use]
pub fn junit(record: &Record) -> String {
    let mut cases = String::new();
    let (mut tests, mut failures, mut skipped) = (0, 0, 0);
    for number in levels(record) {
        let level = record.levels.iter().find(|level| level.level == number);
        let outcome = outcome(record, number, level);
        tests += 1;
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(..) => failures += 1,
            Outcome::Skipped(_) => skipped += 1,
        }
        case(&mut cases, record, number, level, &outcome);
    }
    let counts = format!(
        r#"tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}" time="{:.3}""#,
        record.seconds
    );
    let mut text = r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned() + "\n";
    let _ = writeln!(text, r#"<testsuites name="{SUITE}" {counts}>"#);
    let _ = writeln!(text, r#"  <testsuite name="{SUITE}" {counts}>"#);
    text.push_str("    <properties>\n");
    for (name, value) in
        [("nvmm", record.version.as_str()), ("host", &record.host), ("verdict", &summary(record))]
    {
        let _ = writeln!(text, r#"      <property name="{name}" value="{}"/>"#, escape(value));
    }
    text.push_str("    </properties>\n");
    text.push_str(&cases);
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// The levels heard of, those that were wanted, and the one that is to blame.
fn levels(record: &Record) -> BTreeSet<u32> {
    let blamed = match record.verdict {
        Verdict::Failed { level, .. } => Some(level),
        _ => None,
    };
    record.levels.iter().map(|level| level.level).chain(1..=record.wanted).chain(blamed).collect()
}

fn outcome<'a>(record: &'a Record, number: u32, level: Option<&LevelRecord>) -> Outcome<'a> {
    let status = level.map_or(Status::NotReached, |level| level.status);
    match &record.verdict {
        Verdict::Failed { level, kind, why, console } if *level == number => {
            Outcome::Failed(kind_word(kind), format!("{kind}: {why}"), console)
        }
        Verdict::Skipped { why } if status != Status::Passed => Outcome::Skipped(why.clone()),
        verdict => match (status, verdict) {
            (Status::Passed, _) => Outcome::Passed,
            // Its own work could not end, but it did nothing wrong.
            (_, Verdict::Failed { level, .. }) => Outcome::Skipped(format!("level {level} failed")),
            (Status::Failed, _) => Outcome::Failed("failed".to_owned(), "failed".to_owned(), &[]),
            (_, _) => Outcome::Skipped("never started".to_owned()),
        },
    }
}

/// As in JSON: `kernel_did_not_start`.
fn kind_word(kind: &crate::nest::record::FailureKind) -> String {
    serde_json::to_value(kind).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

fn case(text: &mut String, record: &Record, number: u32, level: Option<&LevelRecord>, outcome: &Outcome<'_>) {
    // From its VMM's start to its end, which is the end of all for one that failed.
    let end = level.and_then(|level| level.passed).or(match outcome {
        Outcome::Failed(..) => Some(record.seconds),
        _ => None,
    });
    let time = between(level.and_then(|level| level.started.or(level.up)), end).unwrap_or_default();
    let _ = writeln!(text, r#"    <testcase classname="{SUITE}" name="level {number}" time="{time:.3}">"#);
    match outcome {
        Outcome::Passed => {}
        Outcome::Failed(kind, message, console) => {
            let _ = write!(text, r#"      <failure type="{}" message="{}">"#, escape(kind), escape(message));
            text.push_str(&escape(message));
            if !console.is_empty() {
                let _ = write!(text, "\nthe end of level {number}'s console:");
            }
            for line in *console {
                let _ = write!(text, "\n{}", escape(line));
            }
            text.push_str("</failure>\n");
        }
        Outcome::Skipped(why) => {
            let _ = writeln!(text, r#"      <skipped message="{}"/>"#, escape(why));
        }
    }
    let program =
        record.program.as_ref().filter(|program| number == record.wanted && program.started.is_some());
    let output =
        program.map(|program| format!("\n{} printed:\n{}", escape(&program.name), program::output(program)));
    let output = output.unwrap_or_default();
    if let Some(level) = level.filter(|level| level.facts.is_some()) {
        let cells = Cells::new(record, level);
        let facts = [
            ("run by", &level.run_by),
            ("kernel", &cells.kernel),
            ("CPU", &cells.cpu),
            ("nesting", &cells.nesting),
            ("to /init", &cells.boot),
            ("KVM", &cells.kvm),
            ("entry", &cells.entry),
            ("disk", &cells.disk),
            ("exits", &cells.exits),
        ];
        let facts: Vec<_> = facts.iter().map(|(name, value)| format!("{name}: {}", escape(value))).collect();
        let _ = writeln!(text, "      <system-out>{}{output}</system-out>", facts.join("\n"));
    }
    text.push_str("    </testcase>\n");
}

#[cfg(test)]
#[path = "junit_test.rs"]
mod tests;
