//! SDM 2A, "CPUID": leaves 01H and 04H.

use super::{
    Topology,
    common::{self, CACHE_TYPE, Fields, LOGICAL_PROCESSORS, saturating},
};
use crate::cpu::{
    cpuid::{Cpuid, Leaf, Register::Eax},
    field::Field,
};

const CACHES: u32 = 0x4;
const CORES: Field = Field::new(CACHES, Eax, 31, 26, "cores per package, minus one");

/// Returns whether leaves 01H and 04H can express the topology: the number of APIC ids of a package, and how many of them are cores.
/// Without leaf 04H, an OS takes all for threads of one core.
pub(super) fn tells(topology: &Topology, cpuid: &Cpuid) -> bool {
    let cores = core_ids(topology);
    let leaf_4 = cpuid.covers(CACHES) && CACHE_TYPE.at(Leaf::sub(CACHES, 0)).get(cpuid) != 0;
    package_ids(topology) <= LOGICAL_PROCESSORS.max() && cores <= if leaf_4 { CORES.max() + 1 } else { 1 }
}

pub(super) fn fields(topology: &Topology, cpuid: &Cpuid) -> Fields {
    let mut fields = vec![saturating(LOGICAL_PROCESSORS, package_ids(topology))];
    for (leaf, sharing) in common::caches(topology, cpuid, CACHES) {
        fields.push(sharing);
        fields.push(saturating(CORES.at(leaf), core_ids(topology) - 1));
    }
    fields
}

/// The number of APIC ids set aside for a package.
fn package_ids(topology: &Topology) -> u32 {
    1 << topology.package_shift()
}

/// The number of APIC ids set aside for the cores of a package.
fn core_ids(topology: &Topology) -> u32 {
    1 << (topology.package_shift() - topology.core_shift())
}
