//! APM 3, "CPUID Feature Identifiers": functions 8000_0001h, 8000_0008h, 8000_001Dh, 8000_001Eh and 8000_0026h.

use super::{
    Topology,
    common::{self, EXTENDED_AMD, Fields, LOGICAL_PROCESSORS, Level, saturating},
};
use crate::cpu::{
    cpuid::{
        Cpuid, Leaf,
        Register::{Eax, Ebx, Ecx},
    },
    field::Field,
};

const FEATURES: u32 = 0x8000_0001;
const CMP_LEGACY: Field = Field::bit(FEATURES, Ecx, 1, "cmp_legacy");
const TOPOEXT: Field = Field::bit(FEATURES, Ecx, 22, "topoext");
const SIZES: u32 = 0x8000_0008;
const NC: Field = Field::new(SIZES, Ecx, 7, 0, "threads per package, minus one");
const APIC_ID_SIZE: Field = Field::new(SIZES, Ecx, 15, 12, "apic id bits per package");

const MAX_EXTENDED: Field = Field::new(0x8000_0000, Eax, 31, 0, "maximum extended function");
const CACHES: u32 = 0x8000_001d;

/// "Processor Topology Information", which is there if the topology extensions are.
const PROCESSOR_TOPOLOGY: u32 = 0x8000_001e;
const EXTENDED_APIC_ID: Field = Field::new(PROCESSOR_TOPOLOGY, Eax, 31, 0, "extended apic id");
const CORE_ID: Field = Field::new(PROCESSOR_TOPOLOGY, Ebx, 7, 0, "core id");
const THREADS_PER_CORE: Field = Field::new(PROCESSOR_TOPOLOGY, Ebx, 15, 8, "threads per core, minus one");
const NODE_ID: Field = Field::new(PROCESSOR_TOPOLOGY, Ecx, 7, 0, "node id");
const NODES: Field = Field::new(PROCESSOR_TOPOLOGY, Ecx, 10, 8, "nodes per package, minus one");

/// Domains of function 8000_0026h.
const CORE: u32 = 1;
const COMPLEX: u32 = 2;
const DIE: u32 = 3;
const SOCKET: u32 = 4;

/// Returns whether AMD's own functions can express the topology: 8000_0008H the whole of a package, and 8000_001EH which part of it are
/// threads.
pub(super) fn tells(topology: &Topology, cpuid: &Cpuid) -> bool {
    let package = topology.threads_per_package();
    let threads = topology.threads == 1 || TOPOEXT.get(cpuid) == 1;
    package == 1 || package <= NC.max() + 1 && threads && cpuid.covers(SIZES)
}

pub(super) fn fields(topology: &Topology, cpuid: &mut Cpuid) -> Fields {
    let package = topology.threads_per_package();
    let mut fields = vec![saturating(LOGICAL_PROCESSORS, package)];
    if cpuid.covers(FEATURES) {
        fields.push((CMP_LEGACY, u32::from(package > 1)));
    }
    if cpuid.covers(SIZES) {
        fields.push(saturating(NC, package - 1));
        fields.push(saturating(APIC_ID_SIZE, topology.package_shift()));
    }
    fields.extend(common::caches(topology, cpuid, CACHES).map(|(_, sharing)| sharing));
    cpuid.remove(PROCESSOR_TOPOLOGY);
    if TOPOEXT.get(cpuid) == 1 {
        // An OS that sees the bit reads the function, even if it is above the maximum.
        if !cpuid.covers(PROCESSOR_TOPOLOGY) {
            fields.push((MAX_EXTENDED, PROCESSOR_TOPOLOGY));
        }
        fields.push(saturating(THREADS_PER_CORE, topology.threads - 1));
        fields.push(saturating(NODES, topology.dies - 1));
    }
    if cpuid.covers(EXTENDED_AMD) {
        let level = |kind, shift, processors| Level { kind, shift, processors };
        let levels = [
            level(CORE, topology.core_shift(), topology.threads),
            level(COMPLEX, topology.die_shift(), topology.threads_per_die()),
            level(DIE, topology.die_shift(), topology.threads_per_die()),
            level(SOCKET, topology.package_shift(), package),
        ];
        fields.extend(common::levels(cpuid, EXTENDED_AMD, &levels));
    }
    fields
}

pub(super) fn vcpu_fields(topology: &Topology, cpuid: &Cpuid, vcpu: u32) -> Fields {
    if !cpuid.0.contains_key(&Leaf::new(PROCESSOR_TOPOLOGY)) {
        return Vec::new();
    }
    let core = vcpu / topology.threads;
    let cores = topology.dies * topology.cores;
    vec![
        (EXTENDED_APIC_ID, topology.apic_id(vcpu)),
        // Both fields have eight bits; larger numbers are in leaf 0BH.
        (CORE_ID, (core % cores) & CORE_ID.max()),
        (NODE_ID, (core / topology.cores) & NODE_ID.max()),
    ]
}
