//! Shows a run as JUnit XML for CI systems: a suite with a test for each level, and one for the user's program.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::cells::{Cells, summary};
use super::program;
use super::words::{between, escape};
use crate::nest::exec::outcome::ProgramRecord;
use crate::nest::record::{FailureKind, LevelRecord, Record, Status, Verdict};

const SUITE: &str = "nvmm-nest";

/// The result of a test case.
enum Outcome<'a> {
    Passed,
    /// The failure in a word and in a sentence, with the console's last lines.
    Failed(String, String, &'a [String]),
    Skipped(String),
}

/// A test case.
struct Case<'a> {
    name: String,
    seconds: f64,
    outcome: Outcome<'a>,
    /// The output, in XML.
    output: Option<String>,
}

/// The run as a document. Each level is a test case, and levels that never ran are skipped. The user's program is the last case.
#[must_use]
pub fn junit(record: &Record) -> String {
    let mut cases: Vec<_> = levels(record).into_iter().map(|number| of_level(record, number)).collect();
    cases.extend(record.program.as_ref().map(|program| of_program(record, program)));
    let count = |what: fn(&Outcome<'_>) -> bool| cases.iter().filter(|case| what(&case.outcome)).count();
    let tests = cases.len();
    let failures = count(|outcome| matches!(outcome, Outcome::Failed(..)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
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
    cases.iter().for_each(|case| case.write(&mut text));
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// The levels that were heard from, those that were wanted, and the one that failed.
fn levels(record: &Record) -> BTreeSet<u32> {
    let blamed = match record.verdict {
        Verdict::Failed { level, .. } => Some(level),
        _ => None,
    };
    record.levels.iter().map(|level| level.level).chain(1..=record.wanted).chain(blamed).collect()
}

/// A level's case. It lasts from its VMM's start to its end; the host, and a level that did not end by itself, end with the run.
fn of_level(record: &Record, number: u32) -> Case<'_> {
    let level = record.levels.iter().find(|level| level.level == number);
    let start = level.and_then(|level| level.started.or(level.up));
    let end = level.and_then(|level| level.passed).unwrap_or(record.seconds);
    Case {
        name: format!("level {number}"),
        seconds: between(start, Some(end)).unwrap_or_default(),
        outcome: outcome(record, number, level),
        output: level.filter(|level| level.facts.is_some()).map(|level| facts(record, level)),
    }
}

fn outcome<'a>(record: &'a Record, number: u32, level: Option<&LevelRecord>) -> Outcome<'a> {
    let status = level.map_or(Status::NotReached, |level| level.status);
    match &record.verdict {
        // The program has a case of its own, and everything else succeeded.
        Verdict::Failed { level, kind: FailureKind::Program, .. } if *level == number => Outcome::Passed,
        Verdict::Skipped { .. } if number == record.wanted && has_ended(record) => Outcome::Passed,
        Verdict::Failed { level, kind, why, console } if *level == number => {
            Outcome::Failed(kind_word(kind), format!("{kind}: {why}"), console)
        }
        Verdict::Skipped { why } if status != Status::Passed => Outcome::Skipped(why.clone()),
        verdict => match (status, verdict) {
            (Status::Passed, _) => Outcome::Passed,
            // Its own work was cut short, but it did nothing wrong.
            (_, Verdict::Failed { level, .. }) => Outcome::Skipped(format!("level {level} failed")),
            (Status::Failed, _) => Outcome::Failed("failed".to_owned(), "failed".to_owned(), &[]),
            (_, _) => Outcome::Skipped("never started".to_owned()),
        },
    }
}

/// The user's program's case.
fn of_program<'a>(record: &'a Record, program: &'a ProgramRecord) -> Case<'a> {
    let outcome = match &record.verdict {
        Verdict::Failed { kind: kind @ FailureKind::Program, why, console, .. } => {
            Outcome::Failed(kind_word(kind), format!("{kind}: {why}"), console)
        }
        Verdict::Skipped { why } => Outcome::Skipped(why.clone()),
        _ if program.status == Some(0) => Outcome::Passed,
        // The run's only failure is that of a level.
        Verdict::Failed { level, .. } => Outcome::Skipped(format!("level {level} failed")),
        Verdict::Passed => Outcome::Skipped("never started".to_owned()),
    };
    Case {
        name: program.name.clone(),
        seconds: between(program.started, program.ended.or(Some(record.seconds))).unwrap_or_default(),
        outcome,
        output: program.started.map(|_| program::output(program)),
    }
}

/// Returns whether the user's program has ended.
fn has_ended(record: &Record) -> bool {
    record.program.as_ref().is_some_and(|program| program.ended.is_some())
}

/// The word in JSON: `kernel_did_not_start`.
fn kind_word(kind: &FailureKind) -> String {
    serde_json::to_value(kind).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

/// A level's facts, in XML.
fn facts(record: &Record, level: &LevelRecord) -> String {
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
    facts.join("\n")
}

impl Case<'_> {
    fn write(&self, text: &mut String) {
        let Self { name, seconds, outcome, output } = self;
        let name = escape(name);
        let _ = writeln!(text, r#"    <testcase classname="{SUITE}" name="{name}" time="{seconds:.3}">"#);
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(kind, message, console) => {
                let (kind, message) = (escape(kind), escape(message));
                let _ = write!(text, r#"      <failure type="{kind}" message="{message}">{message}"#);
                if !console.is_empty() {
                    let _ = write!(text, "\nthe end of {name}'s console:");
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
        if let Some(output) = output {
            let _ = writeln!(text, "      <system-out>{output}</system-out>");
        }
        text.push_str("    </testcase>\n");
    }
}

#[cfg(test)]
#[path = "junit_test.rs"]
mod tests;
