//! Which of the two kinds of virtualization a host has.

use crate::check::{facts::Facts, proof::Kind};

/// Which kind of virtualization the processor has or had, and with it the module for it.
pub(super) fn kind(facts: &Facts) -> Option<Kind> {
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
pub(super) fn module(kind: Kind) -> &'static str {
    match kind {
        Kind::Vmx => "kvm_intel",
        Kind::Svm => "kvm_amd",
    }
}
