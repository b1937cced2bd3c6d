//! SDM 2A, "CPUID": leaves 04H and 1FH.

use super::{
    Fields, Topology,
    common::{self, CORE, EXTENDED_V2, LOGICAL_PROCESSORS, Level, SMT},
    saturating,
};
use crate::cpu::{
    cpuid::{Cpuid, Register::Eax},
    field::Field,
};

const CACHES: u32 = 0x4;
const CACHE_TYPE: Field = Field::new(CACHES, Eax, 4, 0, "cache type");
const CACHE_LEVEL: Field = Field::new(CACHES, Eax, 7, 5, "cache level");
const SHARING_CACHE: Field = Field::new(CACHES, Eax, 25, 14, "logical processors sharing cache, minus one");
const CORES: Field = Field::new(CACHES, Eax, 31, 26, "cores per package, minus one");

/// A level of leaf 1FH.
const DIE: u32 = 5;

pub(super) fn fields(topology: &Topology, cpuid: &mut Cpuid) -> Fields {
    let package_ids = 1 << topology.package_shift();
    let core_ids = 1 << (topology.package_shift() - topology.core_shift());
    let mut fields = vec![saturating(LOGICAL_PROCESSORS, package_ids)];
    for (leaf, _) in cpuid.function(CACHES) {
        if CACHE_TYPE.at(leaf).get(cpuid) != 0 {
            let sharing = topology.ids_sharing_cache(CACHE_LEVEL.at(leaf).get(cpuid));
            fields.push(saturating(SHARING_CACHE.at(leaf), sharing - 1));
            fields.push(saturating(CORES.at(leaf), core_ids - 1));
        }
    }

    if topology.dies > 1 {
        fields.extend(common::raise_max_leaf(cpuid, EXTENDED_V2));
    }
    if topology.dies > 1 || cpuid.covers(EXTENDED_V2) {
        let smt = Level { kind: SMT, shift: topology.core_shift(), processors: topology.threads };
        let core = Level { kind: CORE, shift: topology.die_shift(), processors: topology.threads_per_die() };
        let die =
            Level { kind: DIE, shift: topology.package_shift(), processors: topology.threads_per_package() };
        let levels = [smt, core, die];
        let levels = if topology.dies > 1 { &levels[..] } else { &levels[..2] };
        fields.extend(common::levels(cpuid, EXTENDED_V2, levels));
    }
    fields
}
