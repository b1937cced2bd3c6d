//! Format, lints, and everything that `cargo test` runs: unit tests, and tiny guests on /dev/kvm.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::build;
use crate::libvirt;
use crate::python;
use crate::report::{self, Outcome, Report};

/// The prefix that a test which can't run prints before it returns.
const SKIPPED: &str = "skipped: ";

/// Runs them.
pub(crate) fn run(report: &mut Report) {
    let mut fmt = build::cargo();
    fmt.args(["fmt", "--all", "--check"]);
    check("format", fmt, report);
    let mut clippy = build::cargo();
    clippy.args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    check("clippy", clippy, report);
    let bare = ["--package", "vmm", "--no-default-features"];
    let mut clippy = build::cargo();
    clippy.args(["clippy", "--quiet"]).args(bare).args(["--", "-D", "warnings"]);
    check("clippy without optional parts", clippy, report);
    let mut without = build::cargo();
    without.arg("test").args(bare).args(["--test", "without"]);
    check("nvmm without optional parts", without, report);
    tests(report);
}

/// Runs a command that passes if its exit status is 0.
fn check(name: &str, command: Command, report: &mut Report) {
    let start = Instant::now();
    let (passed, output) = output(command);
    let outcome = if passed { Outcome::Passed } else { Outcome::Failed(output) };
    report.show(name, start.elapsed(), outcome);
}

fn tests(report: &mut Report) {
    let start = Instant::now();
    let mut cargo = build::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    if let Some(packages) = python::qmp() {
        cargo.env("PYTHONPATH", packages);
    }
    if let Some(source) = libvirt::source() {
        cargo.env("NVMM_LIBVIRT", source);
    }
    let (passed, output) = output(cargo);
    let outcomes = parse(&output);
    let count = counts(&outcomes);
    let failed = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    for (name, outcome) in outcomes {
        report.add(name, outcome);
    }
    if passed || failed {
        report::line("cargo test", start.elapsed(), &count);
    } else {
        // A test binary that doesn't compile, or crashes, has no line for a test.
        report.show("cargo test", start.elapsed(), Outcome::Failed(output));
    }
}

/// `769 passed of 771, 1 FAILED, 1 skipped`.
fn counts(outcomes: &[(String, Outcome)]) -> String {
    let count = |of: fn(&Outcome) -> bool| outcomes.iter().filter(|(_, outcome)| of(outcome)).count();
    let passed = count(|outcome| *outcome == Outcome::Passed);
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let others = [(failed, "FAILED"), (skipped, "skipped")];
    let others =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}"));
    format!("{passed} passed of {}{}", outcomes.len(), others.collect::<String>())
}

fn output(mut command: Command) -> (bool, String) {
    match command.stderr(Stdio::piped()).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            (output.status.success(), text.concat())
        }
        Err(error) => (false, error.to_string()),
    }
}

/// The tests in libtest's output: `test NAME ... ok`, and after the tests of a binary the output of each, under `---- NAME stdout ----`.
fn parse(output: &str) -> Vec<(String, Outcome)> {
    let mut outcomes: Vec<(String, Outcome)> = Vec::new();
    let mut printing: Option<usize> = None;
    let mut binary = 0;
    for line in output.lines() {
        if line.starts_with("running ") {
            // Names are unique only within a binary.
            binary = outcomes.len();
            printing = None;
        } else if let Some((name, result)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let outcome = match result.split_once(", ").unwrap_or((result, "")) {
                ("ok", _) => Outcome::Passed,
                ("ignored", reason) => Outcome::Skipped(reason.to_owned()),
                _ => Outcome::Failed(String::new()),
            };
            outcomes.push((name.to_owned(), outcome));
        } else if let Some(name) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            printing = outcomes[binary..].iter().position(|(each, _)| each == name).map(|at| binary + at);
        } else if matches!(line, "successes:" | "failures:") {
            printing = None;
        } else if let Some(at) = printing {
            match &mut outcomes[at].1 {
                Outcome::Failed(output) => {
                    output.push_str(line);
                    output.push('\n');
                }
                outcome => {
                    if let Some(reason) = line.strip_prefix(SKIPPED) {
                        *outcome = Outcome::Skipped(reason.to_owned());
                    }
                }
            }
        }
    }
    outcomes
}

#[cfg(test)]
#[path = "units_test.rs"]
mod tests;
