//! What Intel's and AMD's leaves have in common: 01H, 0BH, and the form of 0BH that later leaves took over.
//! SDM 2A, "CPUID"; APM 3, "Function Bh—Extended Topology Enumeration".

use super::{FIRST_X2APIC_ID, Fields, Topology};
use crate::cpu::{
    cpuid::{
        Cpuid, Leaf,
        Register::{Eax, Ebx, Ecx, Edx},
    },
    field::Field,
};

/// Extended topology; V2 of it; AMD's, which has dies too.
const EXTENDED: u32 = 0xb;
pub(super) const EXTENDED_V2: u32 = 0x1f;
pub(super) const EXTENDED_AMD: u32 = 0x8000_0026;

const MAX_LEAF: Field = Field::new(0x0, Eax, 31, 0, "maximum basic leaf");
/// For AMD a count; for Intel, how many APIC ids are set aside.
pub(super) const LOGICAL_PROCESSORS: Field = Field::new(0x1, Ebx, 23, 16, "logical processors per package");
const INITIAL_APIC_ID: Field = Field::new(0x1, Ebx, 31, 24, "initial apic id");
const HTT: Field = Field::bit(0x1, Edx, 28, "ht");

const SHIFT: Field = Field::new(EXTENDED, Eax, 4, 0, "apic id shift");
const PROCESSORS: Field = Field::new(EXTENDED, Ebx, 15, 0, "logical processors");
const LEVEL: Field = Field::new(EXTENDED, Ecx, 15, 0, "level type and number");
const X2APIC_ID: Field = Field::new(EXTENDED, Edx, 31, 0, "x2apic id");

/// A level of the topology, which is a subleaf.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// "Level type", or "domain type".
    pub(super) kind: u32,
    /// Bits to shift an APIC id for the number of the next level's.
    pub(super) shift: u32,
    /// Logical processors in one of these.
    pub(super) processors: u32,
}

/// Levels of leaf 0BH.
pub(super) const SMT: u32 = 1;
pub(super) const CORE: u32 = 2;

pub(super) fn fields(topology: &Topology, cpuid: &mut Cpuid) -> Fields {
    let package = topology.threads_per_package();
    let mut fields = vec![(HTT, u32::from(package > 1))];
    let needed = topology.max_apic_id() >= FIRST_X2APIC_ID;
    if needed {
        fields.extend(raise_max_leaf(cpuid, EXTENDED));
    }
    if needed || cpuid.covers(EXTENDED) {
        let smt = Level { kind: SMT, shift: topology.core_shift(), processors: topology.threads };
        let core = Level { kind: CORE, shift: topology.package_shift(), processors: package };
        fields.extend(levels(cpuid, EXTENDED, &[smt, core]));
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

/// Makes a function part of what leaf 0 says there is.
pub(super) fn raise_max_leaf(cpuid: &Cpuid, function: u32) -> Option<(Field, u32)> {
    (!cpuid.covers(function)).then_some((MAX_LEAF, function))
}

/// The subleaves of a function, the last of which ends the list, in place of those that `cpuid` has.
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
