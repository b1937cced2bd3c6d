//! Findings in the forms for people and for programs.

use std::fmt;

use devices::printable::ToPrintable;
use serde::Serialize;

use super::facts::Facts;
use crate::cpu::text::{Paint, fill};

/// The version of the JSON, which changes when a member's meaning changes.
pub const SCHEMA: u32 = 1;

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The answer can't be found out from here.
    Unknown,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No problem.
    Ok,
    /// For information.
    Info,
    /// The feature works, but slowly, partly, or not for long.
    Warning,
    /// The finding prevents something from working.
    Problem,
}

/// A fact with its judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name, which never changes.
    pub id: &'static str,
    /// The severity.
    pub severity: Severity,
    /// The fact that was found.
    pub found: String,
    /// The remedies. Any one of them helps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<Fix>,
    /// The page with more about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
}

/// A remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// The effect, with warnings.
    pub what: String,
    /// Commands to paste, or lines for the file named in `what`.
    pub commands: Vec<String>,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version, [`SCHEMA`].
    pub schema: u32,
    /// nvmm's version.
    pub nvmm: &'static str,
    /// nvmm can run guests here.
    pub kvm: Verdict,
    /// Guests here can run guests of their own.
    pub nested: Verdict,
    /// The findings, in the order of a diagnosis.
    pub findings: Vec<Finding>,
    /// The facts on which all of this is based.
    pub facts: Facts,
}

impl Finding {
    /// A finding without a remedy.
    pub(super) fn new(id: &'static str, severity: Severity, found: impl Into<String>) -> Self {
        Self { id, severity, found: found.into(), fixes: Vec::new(), source: None }
    }

    /// Adds a remedy.
    pub(super) fn fix<C: Into<String>>(
        mut self,
        what: impl Into<String>,
        commands: impl IntoIterator<Item = C>,
    ) -> Self {
        let commands = commands.into_iter().map(Into::into).collect();
        self.fixes.push(Fix { what: what.into(), commands });
        self
    }
}

impl Report {
    /// The text for a terminal: a line for each finding, its remedies below it, and the verdicts at the end.
    pub(super) fn text(&self, paint: Paint) -> String {
        const INDENT: usize = 31;
        let mut text = String::new();
        for finding in &self.findings {
            let mark = finding.severity.mark(paint);
            for (number, line) in
                fill(finding.found.printable().to_string().split(' '), INDENT).iter().enumerate()
            {
                match number {
                    0 => text.push_str(&format!("{mark} {:28} {line}\n", finding.id)),
                    _ => text.push_str(&format!("{:INDENT$}{line}\n", "")),
                }
            }
            if let Some(source) = finding.source {
                text.push_str(&format!("{:INDENT$}{source}\n", ""));
            }
            for fix in &finding.fixes {
                for (number, line) in fill(fix.what.printable().to_string().split(' '), 6).iter().enumerate()
                {
                    let bullet = if number == 0 { "-" } else { " " };
                    text.push_str(&format!("    {bullet} {line}\n"));
                }
                for command in &fix.commands {
                    text.push_str(&format!("          {}\n", paint.bold(&command.printable().to_string())));
                }
            }
        }
        text.push_str(&format!(
            "\nguests: {}, nested guests: {}\n",
            self.kvm.word(paint),
            self.nested.word(paint)
        ));
        text
    }
}

impl Verdict {
    fn word(self, paint: Paint) -> String {
        let word = self.to_string();
        match self {
            Self::Yes => paint.good(&word),
            Self::No | Self::Unknown => paint.bad(&word),
        }
    }
}

/// Writes `yes`, `no` or `can't tell`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "can't tell",
        })
    }
}

impl Severity {
    fn mark(self, paint: Paint) -> String {
        match self {
            Self::Ok => paint.good("✓"),
            Self::Info => paint.plain("·"),
            Self::Warning => paint.bold("!"),
            Self::Problem => paint.bad("✗"),
        }
    }
}

#[cfg(test)]
#[path = "report_test.rs"]
mod tests;
