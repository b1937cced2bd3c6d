//! Recorded hosts to test with.

use super::host::HostCpu;

/// VMX, all of it.
pub(super) fn haswell() -> HostCpu {
    load(include_str!("../../../resources/hosts/bochs-haswell.json"))
}

/// SVM with nested paging.
pub(super) fn epyc() -> HostCpu {
    load(include_str!("../../../resources/hosts/qemu-tcg-epyc.json"))
}

/// No nesting, and a CPU new enough for leaf 1FH.
pub(super) fn software() -> HostCpu {
    load(include_str!("../../../resources/hosts/software-kvm.json"))
}

fn load(json: &str) -> HostCpu {
    serde_json::from_str(json).unwrap()
}
