//! Runs `nvmm check` at a level, before the next one depends on the results.

use std::path::Path;

use anyhow::anyhow;

use super::record::{CheckRecord, FailureKind};
use crate::check::facts::Facts;
use crate::check::judge::judge;
use crate::check::report::{Report, Severity, Verdict};

/// Runs the check with the proof. With `nested`, guests need to run guests of their own.
///
/// # Errors
///
/// KVM does not work here, or can't nest, as far as that can be found out.
pub(super) fn run(nested: bool) -> (CheckRecord, anyhow::Result<()>) {
    weigh(&judge(&Facts::gather(Path::new("/dev/kvm"))), nested)
}

fn weigh(report: &Report, nested: bool) -> (CheckRecord, anyhow::Result<()>) {
    let at_least = |severity| report.findings.iter().filter(move |finding| finding.severity >= severity);
    let warnings = at_least(Severity::Warning).map(|finding| finding.id.to_owned()).collect();
    let record = CheckRecord { kvm: told(report.kvm), nested: told(report.nested), warnings };
    let problems = || {
        let found = at_least(Severity::Problem).map(|finding| format!("{}: {}", finding.id, finding.found));
        anyhow!(found.collect::<Vec<_>>().join("; "))
    };
    let outcome = match (report.kvm, report.nested) {
        (Verdict::No, _) => Err(problems().context(FailureKind::KvmDidNotLoad)),
        (_, Verdict::No) if nested => Err(problems().context(FailureKind::NoNesting)),
        _ => Ok(()),
    };
    (record, outcome)
}

fn told(verdict: Verdict) -> Option<bool> {
    match verdict {
        Verdict::Yes => Some(true),
        Verdict::No => Some(false),
        Verdict::Unknown => None,
    }
}

#[cfg(test)]
#[path = "checked_test.rs"]
mod tests;
