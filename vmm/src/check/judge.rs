//! What facts mean: findings in the order of a diagnosis, and the two verdicts.

mod advisory;
mod device;
mod nesting;
mod outer;
mod processor;
mod system;

use super::{
    facts::Facts,
    proof::{Kind, Proof},
    report::{Finding, Report, SCHEMA, Severity, Verdict},
};

/// Judges what a host says of itself.
#[must_use]
pub fn judge(facts: &Facts) -> Report {
    let mut findings = Vec::new();
    findings.push(outer::level(facts));
    findings.extend(processor::findings(facts));
    findings.extend(device::findings(facts));
    findings.extend(nesting::findings(facts));
    let (kvm, nested) = (kvm(facts), nested(facts));
    if nested != Verdict::No {
        findings.extend(advisory::findings(facts));
    }
    Report { schema: SCHEMA, nvmm: env!("CARGO_PKG_VERSION"), kvm, nested, findings, facts: facts.clone() }
}

/// Whether nvmm can use KVM.
fn kvm(facts: &Facts) -> Verdict {
    let usable = facts.kvm.as_ref().is_some_and(|kvm| {
        facts.device.errno.is_none()
            && kvm.api_version == API
            && kvm.missing.is_empty()
            && kvm.error.is_none()
    });
    if usable { Verdict::Yes } else { Verdict::No }
}

/// `KVM_API_VERSION`.
const API: i32 = 12;

/// Whether KVM's guests can run guests. Only the proof says yes; without an answer from KVM its parameter can say no.
fn nested(facts: &Facts) -> Verdict {
    match (&facts.proof, kvm(facts)) {
        (Proof::Executed { .. }, _) => Verdict::Yes,
        (Proof::NoBit | Proof::Failed { .. }, _) => Verdict::No,
        (Proof::Refused { .. }, _) | (Proof::NotTried, Verdict::Yes | Verdict::Unknown) => Verdict::Unknown,
        // Another user, or a container with the node, may find that it nests.
        (Proof::NotTried, Verdict::No) if barred(facts) && nesting::parameter(facts) == Some(true) => {
            Verdict::Unknown
        }
        (Proof::NotTried, Verdict::No) => Verdict::No,
    }
}

/// KVM is there, but not for this process.
fn barred(facts: &Facts) -> bool {
    matches!(facts.device.errno, Some(libc::EACCES | libc::EPERM)) || device::withheld(facts)
}

/// Which kind of virtualization the processor has or had, and with it the module for it.
fn kind(facts: &Facts) -> Option<Kind> {
    let loaded = |module| facts.modules.contains_key(module);
    let cpu = &facts.cpu;
    if facts.flag("vmx") || cpu.vmx {
        Some(Kind::Vmx)
    } else if facts.flag("svm") || cpu.svm {
        Some(Kind::Svm)
    } else if loaded(module(Kind::Vmx)) && !loaded(module(Kind::Svm)) {
        Some(Kind::Vmx)
    } else if loaded(module(Kind::Svm)) && !loaded(module(Kind::Vmx)) {
        Some(Kind::Svm)
    } else {
        None
    }
}

/// Which module makes KVM work with it.
fn module(kind: Kind) -> &'static str {
    match kind {
        Kind::Vmx => "kvm_intel",
        Kind::Svm => "kvm_amd",
    }
}

fn ok(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Ok, found)
}

fn info(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Info, found)
}

fn warning(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Warning, found)
}

fn problem(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Problem, found)
}

#[cfg(test)]
#[path = "judge_test.rs"]
mod tests;
