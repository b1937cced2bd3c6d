//! Interprets the facts: makes findings in the order of a diagnosis, and the two verdicts.

mod advisory;
mod device;
mod finding;
mod kind;
mod nesting;
mod outer;
mod processor;
mod system;

use super::{
    facts::Facts,
    proof::Proof,
    report::{Report, SCHEMA, Verdict},
};

/// Judges a host by its facts.
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

/// Judges whether nvmm can use KVM.
fn kvm(facts: &Facts) -> Verdict {
    let usable = facts.kvm.as_ref().is_some_and(|kvm| {
        facts.device.errno.is_none()
            && kvm.api_version == device::API
            && kvm.missing.is_empty()
            && kvm.error.is_none()
    });
    if usable { Verdict::Yes } else { Verdict::No }
}

/// Judges whether KVM's guests can run guests. Only the proof can give yes; without an answer from KVM, its parameter can give no.
fn nested(facts: &Facts) -> Verdict {
    match (&facts.proof, kvm(facts)) {
        (Proof::Executed { .. }, _) => Verdict::Yes,
        (Proof::NoBit | Proof::Failed { .. }, _) => Verdict::No,
        (Proof::Refused { .. }, _) | (Proof::NotTried, Verdict::Yes | Verdict::Unknown) => Verdict::Unknown,
        // For another user, or for a container with the node, it may work.
        (Proof::NotTried, Verdict::No) if barred(facts) && nesting::parameter(facts) == Some(true) => {
            Verdict::Unknown
        }
        (Proof::NotTried, Verdict::No) => Verdict::No,
    }
}

/// Returns whether KVM is there, but this process may not use it.
fn barred(facts: &Facts) -> bool {
    matches!(facts.device.errno, Some(libc::EACCES | libc::EPERM)) || device::withheld(facts)
}

#[cfg(test)]
#[path = "judge_test.rs"]
mod tests;
