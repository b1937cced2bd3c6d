//! The tests that passed, failed and were skipped.

use std::fmt;
use std::time::Duration;

/// The outcome of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With its output.
    Failed(String),
    /// With the reason.
    Skipped(String),
}

/// All outcomes, in order.
#[derive(Debug, Default)]
pub(crate) struct Report {
    outcomes: Vec<(String, Outcome)>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds an outcome without showing it now.
    pub(crate) fn add(&mut self, name: String, outcome: Outcome) {
        self.outcomes.push((name, outcome));
    }

    /// Adds the outcome of a longer test, and shows it.
    pub(crate) fn show(&mut self, name: &str, took: Duration, outcome: Outcome) {
        let word = match &outcome {
            Outcome::Passed => "ok".to_owned(),
            Outcome::Failed(_) => "FAILED".to_owned(),
            Outcome::Skipped(reason) => format!("skipped: {reason}"),
        };
        line(name, took, &word);
        self.add(name.to_owned(), outcome);
    }

    pub(crate) fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    fn count(&self, of: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|(_, outcome)| of(outcome)).count()
    }
}

/// Shows the outcome of a longer test.
pub(crate) fn line(name: &str, took: Duration, word: &str) {
    eprintln!("lab: {:6.1} s  {name}: {word}", took.as_secs_f64());
}

/// The skipped tests with their reasons, the failed ones with their output, and the counts on the last line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.outcomes {
            if let Outcome::Skipped(reason) = outcome {
                writeln!(f, "skipped {name}: {reason}")?;
            }
        }
        for (name, outcome) in &self.outcomes {
            if let Outcome::Failed(output) = outcome {
                writeln!(f, "FAILED {name}")?;
                for line in output.lines() {
                    writeln!(f, "  | {line}")?;
                }
            }
        }
        let passed = self.count(|outcome| *outcome == Outcome::Passed);
        let skipped = self.count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        writeln!(f, "{passed} passed, {} failed, {skipped} skipped", self.failed())
    }
}

#[cfg(test)]
#[path = "report_test.rs"]
mod tests;
