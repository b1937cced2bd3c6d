//! `nvmm check`, as run by levels 0 and 1.

use std::process::Command;

use anyhow::{Context, ensure};
use arch::cpu::nesting::Virtualization;
use serde::{Deserialize, Serialize};
use vmm::nest::image;

use crate::level0::NVMM;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// The exit status, with nesting required.
    pub(crate) status: Option<i32>,
    /// The verdicts.
    pub(crate) kvm: String,
    pub(crate) nested: String,
    pub(crate) findings: Vec<Finding>,
}

/// One of its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) severity: String,
    pub(crate) found: String,
}

/// The used part of its JSON.
#[derive(Deserialize)]
struct Report {
    kvm: String,
    nested: String,
    findings: Vec<Finding>,
}

/// Runs it on this level. KVM must be loaded.
pub(crate) fn run() -> anyhow::Result<Check> {
    let output = Command::new(image::in_root(NVMM))
        .args(["check", "--json", "--require", "nested"])
        .output()
        .context("starting nvmm check")?;
    let Report { kvm, nested, findings } = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("nvmm check ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr))
    })?;
    Ok(Check { status: output.status.code(), kvm, nested, findings })
}

/// Checks that everything is there, nothing is wrong, and the instruction was executed.
pub(crate) fn judge(virt: Virtualization, check: &Check) -> anyhow::Result<()> {
    let wrong =
        check.findings.iter().filter(|finding| matches!(finding.severity.as_str(), "warning" | "problem"));
    let wrong: Vec<_> = wrong.map(|finding| format!("{}: {}", finding.id, finding.found)).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    let verdicts = [check.kvm.as_str(), check.nested.as_str()];
    ensure!(
        (check.status, verdicts) == (Some(0), ["yes", "yes"]),
        "status {:?}, verdicts {verdicts:?}",
        check.status
    );
    has(check, "proof.executed", virt.instruction())
}

/// The same as [`judge`], and also that level 1 recognizes its hypervisor.
pub(crate) fn judge_guest(virt: Virtualization, check: Option<&Check>) -> anyhow::Result<()> {
    let check = check.context("level 1 left no check")?;
    judge(virt, check)?;
    has(check, "level.guest", "a guest of KVM")
}

fn has(check: &Check, id: &str, words: &str) -> anyhow::Result<()> {
    let finding = check.findings.iter().find(|finding| finding.id == id);
    let found = finding.with_context(|| format!("no {id}"))?;
    ensure!(found.found.contains(words), "{id} is {:?}", found.found);
    Ok(())
}

#[cfg(test)]
#[path = "check_test.rs"]
mod tests;
