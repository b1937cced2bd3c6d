//! The kind of virtualization of a host.

use arch::cpu::nesting::Virtualization;

use crate::check::facts::Facts;

/// The kind of virtualization that the processor has, or would have, which decides on the module.
pub(super) fn kind(facts: &Facts) -> Option<Virtualization> {
    let loaded = |kind: Virtualization| facts.modules.contains_key(kind.module());
    let cpu = &facts.cpu;
    if facts.flag("vmx") || cpu.vmx {
        Some(Virtualization::Vmx)
    } else if facts.flag("svm") || cpu.svm {
        Some(Virtualization::Svm)
    } else if loaded(Virtualization::Vmx) && !loaded(Virtualization::Svm) {
        Some(Virtualization::Vmx)
    } else if loaded(Virtualization::Svm) && !loaded(Virtualization::Vmx) {
        Some(Virtualization::Svm)
    } else {
        None
    }
}
