//! Recorded hosts to test with: resources/hosts/README.md says where each is from.

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

/// Servers that people run VMs on, each maker's from old to new, all with nesting.
pub(super) fn servers() -> Vec<(&'static str, HostCpu)> {
    let server = |(name, json)| (name, load(json));
    [
        ("broadwell-ep", include_str!("../../../resources/hosts/broadwell-ep.json")),
        ("cascade-lake", include_str!("../../../resources/hosts/cascade-lake.json")),
        ("ice-lake", include_str!("../../../resources/hosts/ice-lake.json")),
        ("sapphire-rapids", include_str!("../../../resources/hosts/sapphire-rapids.json")),
        ("granite-rapids", include_str!("../../../resources/hosts/granite-rapids.json")),
        ("naples", include_str!("../../../resources/hosts/naples.json")),
        ("rome", include_str!("../../../resources/hosts/rome.json")),
        ("milan", include_str!("../../../resources/hosts/milan.json")),
        ("genoa", include_str!("../../../resources/hosts/genoa.json")),
        ("dhyana", include_str!("../../../resources/hosts/dhyana.json")),
    ]
    .map(server)
    .into()
}

/// Every recorded host.
pub(super) fn all() -> Vec<(&'static str, HostCpu)> {
    let lab = [("bochs-haswell", haswell()), ("qemu-tcg-epyc", epyc()), ("software-kvm", software())];
    lab.into_iter().chain(servers()).collect()
}

fn load(json: &str) -> HostCpu {
    serde_json::from_str(json).unwrap()
}

#[path = "testing_test.rs"]
mod tests;
