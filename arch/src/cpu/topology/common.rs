//! Leaves that Intel and AMD have in common: 01H, 0BH and 1FH, the form of 0BH that later leaves took over, and the form of
//! leaf 04H that AMD took over. SDM 2A, "CPUID"; APM 3, "Function Bh—Extended Topology Enumeration".
//!
//! Leaf 1FH is Intel's alone, but AMD's guests have dies in it too: Linux reads it for any maker, and nothing else tells all versions of
//! Linux about dies. QEMU does the same.

use super::Topology;
use crate::cpu::{
    apic_id::FIRST_X2APIC_ID,
    cpuid::{
        Cpuid, Leaf,
        Register::{Eax, Ebx, Ecx, Edx},
    },
    field::Field,
};

/// The leaves of the extended topology, of its version 2, and of AMD's, which has dies too.
const EXTENDED: u32 = 0xb;
const EXTENDED_V2: u32 = 0x1f;
pub(super) const EXTENDED_AMD: u32 = 0x8000_0026;

const MAX_LEAF: Field = Field::new(0x0, Eax, 31, 0, "maximum basic leaf");
/// For AMD a count; for Intel, the number of APIC ids that are set aside.
pub(super) const LOGICAL_PROCESSORS: Field = Field::new(0x1, Ebx, 23, 16, "logical processors per package");
const INITIAL_APIC_ID: Field = Field::new(0x1, Ebx, 31, 24, "initial apic id");
const HTT: Field = Field::bit(0x1, Edx, 28, "ht");

/// The cache type in leaf 04H and in function 8000_001DH.
pub(super) const CACHE_TYPE: Field = Field::new(0x4, Eax, 4, 0, "cache type");
const CACHE_LEVEL: Field = Field::new(0x4, Eax, 7, 5, "cache level");
const SHARING_CACHE: Field = Field::new(0x4, Eax, 25, 14, "logical processors sharing cache, minus one");

const SHIFT: Field = Field::new(EXTENDED, Eax, 4, 0, "apic id shift");
const PROCESSORS: Field = Field::new(EXTENDED, Ebx, 15, 0, "logical processors");
const LEVEL: Field = Field::new(EXTENDED, Ecx, 15, 0, "level type and number");
const X2APIC_ID: Field = Field::new(EXTENDED, Edx, 31, 0, "x2apic id");

/// A field and its value.
pub(super) type Fields = Vec<(Field, u32)>;

/// A level of the topology, which is a subleaf.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// "Level type", or "domain type".
    pub(super) kind: u32,
    /// Bits to shift an APIC id to the right to get the number of the next level.
    pub(super) shift: u32,
    /// The number of logical processors in a unit of this level.
    pub(super) processors: u32,
}

/// Levels of leaves 0BH and 1FH.
const SMT: u32 = 1;
const CORE: u32 = 2;
const DIE: u32 = 5;

/// The fields of the common leaves. `told` says whether the vendor's older leaves can express the topology.
pub(super) fn fields(topology: &Topology, cpuid: &mut Cpuid, told: bool) -> Fields {
    let package = topology.threads_per_package();
    let mut fields = vec![(HTT, u32::from(package > 1))];
    let needed = match topology.dies {
        1 if told && topology.max_apic_id() < FIRST_X2APIC_ID => 0,
        1 => EXTENDED,
        _ => EXTENDED_V2,
    };
    let max_leaf = MAX_LEAF.get(cpuid);
    if max_leaf < needed {
        fields.push((MAX_LEAF, needed));
    }
    let max_leaf = max_leaf.max(needed);

    let smt = Level { kind: SMT, shift: topology.core_shift(), processors: topology.threads };
    let die_of_cores =
        Level { kind: CORE, shift: topology.die_shift(), processors: topology.threads_per_die() };
    let package_of = |kind| Level { kind, shift: topology.package_shift(), processors: package };
    if max_leaf >= EXTENDED {
        fields.extend(levels(cpuid, EXTENDED, &[smt, package_of(CORE)]));
    }
    if max_leaf >= EXTENDED_V2 {
        let all = [smt, die_of_cores, package_of(DIE)];
        let levels_of = if topology.dies > 1 { &all[..] } else { &all[..2] };
        fields.extend(levels(cpuid, EXTENDED_V2, levels_of));
    }
    fields
}

pub(super) fn vcpu_fields(topology: &Topology, cpuid: &Cpuid, vcpu: u32) -> Fields {
    let id = topology.apic_id(vcpu);
    let mut fields = vec![(INITIAL_APIC_ID, id & INITIAL_APIC_ID.max())];
    for function in [EXTENDED, EXTENDED_V2, EXTENDED_AMD] {
        let subleaves = cpuid.function(function);
        fields.extend(subleaves.map(|(leaf, _)| (X2APIC_ID.at(leaf), id)));
    }
    fields
}

/// The subleaves of a function about caches, each with the number of CPUs that share the cache. APIC ids that are only set aside count too:
/// software rounds up to them.
pub(super) fn caches(
    topology: &Topology,
    cpuid: &Cpuid,
    function: u32,
) -> impl Iterator<Item = (Leaf, (Field, u32))> {
    let caches = cpuid.function(function).filter(|(leaf, _)| CACHE_TYPE.at(*leaf).get(cpuid) != 0);
    caches.map(|(leaf, _)| {
        let sharing = topology.ids_sharing_cache(CACHE_LEVEL.at(leaf).get(cpuid));
        (leaf, saturating(SHARING_CACHE.at(leaf), sharing - 1))
    })
}

/// Writes a subleaf for each level of a function and one that ends the list, in place of those in `cpuid`.
pub(super) fn levels(cpuid: &mut Cpuid, function: u32, levels: &[Level]) -> Fields {
    cpuid.remove(function);
    let end = Level { kind: 0, shift: 0, processors: 0 };
    let subleaf = |(number, level): (u32, &Level)| {
        let leaf = Leaf::sub(function, number);
        [
            (SHIFT.at(leaf), level.shift),
            (PROCESSORS.at(leaf), level.processors),
            (LEVEL.at(leaf), level.kind << 8 | number),
        ]
    };
    (0..).zip(levels.iter().chain([&end])).flat_map(subleaf).collect()
}

/// Limits a count to the greatest value that the field can hold.
pub(super) fn saturating(field: Field, value: u32) -> (Field, u32) {
    (field, value.min(field.max()))
}
