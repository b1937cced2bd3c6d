//! Recorded hosts, and CPUs made of them.

use arch::cpu::{host::HostCpu, profile::CpuProfile, topology::Topology};

/// VMX, all of it.
pub(super) fn haswell() -> HostCpu {
    load(include_str!("../../../resources/hosts/bochs-haswell.json"))
}

/// SVM of a real server.
pub(super) fn milan() -> HostCpu {
    load(include_str!("../../../resources/hosts/milan.json"))
}

/// Every feature of a newer server, VMX among them.
pub(super) fn sapphire_rapids() -> HostCpu {
    load(include_str!("../../../resources/hosts/sapphire-rapids.json"))
}

/// No nesting.
pub(super) fn software() -> HostCpu {
    load(include_str!("../../../resources/hosts/software-kvm.json"))
}

pub(super) fn hosts() -> [HostCpu; 4] {
    [haswell(), milan(), sapphire_rapids(), software()]
}

/// The CPU that a specification makes of a host, with two sockets of two threads.
pub(super) fn resolve(host: &HostCpu, spec: &str) -> (CpuProfile, Topology) {
    let topology = Topology::new(2, 1, 1, 2).unwrap();
    (CpuProfile::resolve(host, &spec.parse().unwrap(), &topology).unwrap(), topology)
}

fn load(json: &str) -> HostCpu {
    serde_json::from_str(json).unwrap()
}
