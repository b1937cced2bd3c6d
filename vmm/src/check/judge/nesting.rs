//! Judges KVM's nesting: its parameter, its offer, and the proof.

use std::collections::BTreeMap;

use arch::cpu::{msr, nesting::Virtualization, svm, vmx};

use super::{
    finding::{info, ok, problem, warning},
    kind::kind,
    outer, processor, system,
};
use crate::check::{
    facts::{Facts, Offered},
    proof::Proof,
    report::Finding,
};

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(switch(facts));
    if let Some(offered) = facts.kvm.as_ref().and_then(|kvm| kvm.offered.as_ref()) {
        findings.push(offer(offered));
        findings.extend(disagreement(facts, offered));
        findings.extend(features(facts, offered));
        findings.extend(state(offered));
    }
    findings.push(proof(facts));
    findings
}

/// The module's parameter `nested`, which is a bool in some kernels and a number in others; none if it is missing.
pub(super) fn parameter(facts: &Facts) -> Option<bool> {
    on(facts.parameter(kind(facts)?.module(), "nested")?)
}

fn on(value: &str) -> Option<bool> {
    match value {
        "Y" | "y" | "1" => Some(true),
        "N" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn switch(facts: &Facts) -> Option<Finding> {
    let module = kind(facts)?.module();
    if !facts.modules.contains_key(module) {
        return None;
    }
    let Some(value) = facts.parameter(module, "nested") else {
        return Some(info("nesting.parameter-absent", format!("{module} has no parameter nested here")));
    };
    Some(match on(value) {
        Some(true) => ok("nesting.parameter", format!("{module}.nested={value}")),
        Some(false) => {
            let off = problem(
                "nesting.parameter-off",
                format!("{module}.nested={value}: KVM keeps nesting from its guests"),
            );
            system::set(facts, off, module, "nested=1")
        }
        None => warning("nesting.parameter-unknown", format!("{module}.nested={value}: neither Y nor N")),
    })
}

/// The finding about KVM's offer for a guest's CPU: CPUID's bit, and the leaf or the MSRs that describe it.
fn offer(offered: &Offered) -> Finding {
    let described = offered.vmx_msrs.len();
    match (offered.vmx, offered.svm) {
        (true, _) if described == 0 => problem(
            "nesting.msrs-missing",
            "KVM offers VMX without its capability MSRs 480H to 491H: a guest's KVM can't load",
        ),
        (true, _) => {
            ok("nesting.offered", format!("KVM offers VMX to guests, and {described} VMX capability MSRs"))
        }
        (false, true) if offered.svm_features.0 == 0 => warning(
            "nesting.svm-bare",
            "KVM offers SVM to guests, without any feature in CPUID.8000000AH:EDX",
        ),
        (false, true) => ok("nesting.offered", "KVM offers SVM to guests"),
        (false, false) => problem("nesting.not-offered", "KVM offers neither VMX nor SVM to guests"),
    }
}

/// The finding about contradicting answers.
fn disagreement(facts: &Facts, offered: &Offered) -> Option<Finding> {
    let bit = offered.vmx || offered.svm;
    let found = match (parameter(facts), bit, &facts.proof) {
        (Some(true), false, _) => "the module's parameter says that KVM nests, and KVM offers nothing of it",
        (Some(false), true, _) => "the module's parameter says that KVM does not nest, and KVM offers it",
        (_, true, Proof::NoBit) => "KVM offers it, and a guest's CPU made of that offer has none",
        (_, true, Proof::Failed { .. }) => "KVM offers it, and a guest that uses it fails",
        (_, false, _) if !offered.vmx_msrs.is_empty() => "KVM has VMX capability MSRs for guests without VMX",
        _ => return None,
    };
    Some(warning("nesting.disagreement", found))
}

/// The findings about features that make nested guests fast, as L1 will see them.
fn features(facts: &Facts, offered: &Offered) -> Vec<Finding> {
    let (names, paging, module) = if offered.vmx {
        let msrs: BTreeMap<u32, u64> = offered
            .vmx_msrs
            .iter()
            .filter_map(|(index, value)| Some((u32::try_from(index.0).ok()?, value.0)))
            .collect();
        let Some(controls) = vmx::secondary_controls(&msrs).filter(|_| msrs.contains_key(&msr::VMX_BASIC))
        else {
            return Vec::new();
        };
        (names(controls.iter_names().map(|(name, _)| name)), "ept", Virtualization::Vmx.module())
    } else if offered.svm {
        let features =
            svm::Features::from_bits_truncate(u32::try_from(offered.svm_features.0).unwrap_or_default());
        (names(features.iter_names().map(|(name, _)| name)), "npt", Virtualization::Svm.module())
    } else {
        return Vec::new();
    };
    let mut findings = vec![info("nesting.features", format!("for guests: {}", names.join(", ")))];
    if !names.iter().any(|name| name == paging) {
        let slow = warning(
            "nesting.no-paging",
            format!("guests have no {paging}: every page fault of a nested guest exits, which is slow"),
        );
        findings.push(match facts.parameter(module, paging).and_then(on) {
            Some(false) => system::set(facts, slow, module, &format!("{paging}=1")),
            _ => slow,
        });
    }
    findings
}

/// Names of features, spelled as in QEMU.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.map(|name| name.to_ascii_lowercase().replace('_', "-")).collect()
}

fn state(offered: &Offered) -> Option<Finding> {
    if !offered.vmx && !offered.svm {
        return None;
    }
    Some(if offered.nested_state {
        ok("nesting.state", "KVM_CAP_NESTED_STATE: a guest that nests can be saved")
    } else {
        warning(
            "nesting.state-missing",
            "no KVM_CAP_NESTED_STATE: a guest that nests can't be saved (VMX: Linux 4.20, SVM: 5.8)",
        )
    })
}

fn proof(facts: &Facts) -> Finding {
    match &facts.proof {
        Proof::Executed { kind } => ok(
            "proof.executed",
            format!("L1 can enter {kind} operation: yes (a guest executed {})", kind.instruction()),
        ),
        Proof::NoBit => info("proof.no-bit", "not executed: a guest's CPU has neither VMX nor SVM"),
        Proof::Failed { kind, step, how } => {
            let failed =
                problem("proof.failed", format!("L1 can enter {kind} operation: no ({step}: {how})"));
            if outer::is_guest(facts) && processor::usable(facts) {
                outer::switch(facts, failed)
            } else {
                failed
            }
        }
        Proof::Refused { why } => {
            let refused = warning("proof.refused", format!("not executed: {why}"));
            if why.contains("Device or resource busy") || why.contains("(os error 16)") {
                return refused.fix("Another hypervisor (VirtualBox, VMware) holds the processor: end its guests, or take its module away", [
                    "sudo modprobe -r vboxnetadp vboxnetflt vboxdrv    # VMware: sudo modprobe -r vmmon",
                ]);
            }
            refused
        }
        Proof::NotTried => info("proof.not-tried", "not executed: no KVM could be opened to try it on"),
    }
}
