use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cpu::{
    cpuid::{Cpuid, Leaf, Register, Registers},
    testing,
    vendor::Manual,
};

const TOPOEXT: u32 = 1 << 22;

/// A vCPU's leaves.
fn leaves(mut cpuid: Cpuid, manual: Manual, topology: &Topology, vcpu: u32) -> Cpuid {
    for patch in topology.rewrite(&mut cpuid, manual) {
        patch.apply(&mut cpuid);
    }
    topology.personalize(&mut cpuid, manual, vcpu);
    cpuid
}

fn intel(topology: &Topology, vcpu: u32) -> Cpuid {
    leaves(testing::haswell().offered(), Manual::Intel, topology, vcpu)
}

fn amd(topology: &Topology, vcpu: u32) -> Cpuid {
    leaves(epyc(), Manual::Amd, topology, vcpu)
}

/// With the topology extensions that QEMU TCG lacks.
fn epyc() -> Cpuid {
    let mut cpuid = testing::epyc().offered();
    cpuid.0.get_mut(&Leaf::new(0x8000_0001)).unwrap().ecx |= TOPOEXT;
    cpuid
}

fn registers(cpuid: &Cpuid, leaf: Leaf) -> [u32; 4] {
    assert!(cpuid.0.contains_key(&leaf), "{leaf}");
    let Registers { eax, ebx, ecx, edx } = cpuid.get(leaf);
    [eax, ebx, ecx, edx]
}

#[test]
fn impossible_topologies_are_refused() {
    assert_eq!(Topology::flat(0), Err(CpuError::NoVcpus));
    assert_eq!(Topology::new(1, 1, 1, 0), Err(CpuError::NoVcpus));
    assert_eq!(Topology::flat(65_537), Err(CpuError::TooManyVcpus(65_537)));
    assert!(matches!(Topology::new(u32::MAX, u32::MAX, u32::MAX, u32::MAX), Err(CpuError::TooManyVcpus(_))));
    assert_eq!(Topology::flat(4096).unwrap().max_apic_id(), 4095);
}

#[test]
fn apic_ids_are_packed() {
    let ids = |topology: Topology| (0..topology.vcpus()).map(|n| topology.apic_id(n)).collect::<Vec<_>>();
    assert_eq!(ids(Topology::flat(5).unwrap()), [0, 1, 2, 3, 4]);
    // Three cores take two bits.
    assert_eq!(ids(Topology::new(2, 1, 3, 1).unwrap()), [0, 1, 2, 4, 5, 6]);
    assert_eq!(ids(Topology::new(2, 1, 2, 2).unwrap()), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ids(Topology::new(1, 3, 1, 3).unwrap()), [0, 1, 2, 4, 5, 6, 8, 9, 10]);
}

#[test]
fn one_intel_vcpu_is_alone() {
    let cpuid = intel(&Topology::flat(1).unwrap(), 0);
    let [_, ebx, _, edx] = registers(&cpuid, Leaf::new(1));
    assert_eq!((ebx, edx >> 28 & 1), (0x0001_0800, 0));
    assert_eq!(registers(&cpuid, Leaf::sub(4, 3))[0], 0x163);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 0)), [0, 1, 0x100, 0]);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 1)), [0, 1, 0x201, 0]);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 2)), [0, 0, 2, 0]);
    assert_eq!(cpuid.function(0x1f).count(), 0);
}

#[test]
fn intel_cores_share_the_last_cache_only() {
    let cpuid = intel(&Topology::flat(6).unwrap(), 5);
    assert_eq!(registers(&cpuid, Leaf::new(1))[1], 0x0508_0800);
    assert_eq!(registers(&cpuid, Leaf::new(1))[3] >> 28 & 1, 1);
    assert_eq!(registers(&cpuid, Leaf::sub(4, 0))[0], 7 << 26 | 0x121);
    assert_eq!(registers(&cpuid, Leaf::sub(4, 3))[0], 7 << 26 | 7 << 14 | 0x163);
    assert_eq!(registers(&cpuid, Leaf::sub(4, 4)), [0; 4]);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 0)), [0, 1, 0x100, 5]);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 1)), [3, 6, 0x201, 5]);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 2)), [0, 0, 2, 5]);
}

#[test]
fn intel_dies_bring_leaf_1f() {
    let topology = Topology::new(2, 2, 3, 2).unwrap();
    let cpuid = intel(&topology, 23);
    let id = topology.apic_id(23);
    assert_eq!(id, 0b1_1101);
    assert_eq!(registers(&cpuid, Leaf::new(0))[0], 0x1f);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 1)), [4, 12, 0x201, id]);
    assert_eq!(registers(&cpuid, Leaf::sub(0x1f, 0)), [1, 2, 0x100, id]);
    assert_eq!(registers(&cpuid, Leaf::sub(0x1f, 1)), [3, 6, 0x201, id]);
    assert_eq!(registers(&cpuid, Leaf::sub(0x1f, 2)), [4, 12, 0x502, id]);
    assert_eq!(registers(&cpuid, Leaf::sub(0x1f, 3)), [0, 0, 3, id]);
}

#[test]
fn host_with_leaf_1f_keeps_it() {
    let cpuid = testing::software().offered();
    let cpuid = leaves(cpuid, Manual::Intel, &Topology::flat(4).unwrap(), 3);
    assert_eq!(registers(&cpuid, Leaf::new(0))[0], 0x20);
    assert_eq!(registers(&cpuid, Leaf::sub(0x1f, 1)), [2, 4, 0x201, 3]);
    assert_eq!(registers(&cpuid, Leaf::sub(0x1f, 2)), [0, 0, 2, 3]);
}

#[test]
fn large_counts_saturate_old_fields() {
    let topology = Topology::flat(300).unwrap();
    let cpuid = intel(&topology, 299);
    // 299 & 0xff, and no more than 255.
    assert_eq!(registers(&cpuid, Leaf::new(1))[1], 0x2bff_0800);
    assert_eq!(registers(&cpuid, Leaf::sub(4, 3))[0], 63 << 26 | 511 << 14 | 0x163);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 1)), [9, 300, 0x201, 299]);
    let cpuid = amd(&topology, 299);
    assert_eq!(registers(&cpuid, Leaf::new(0x8000_0008))[2], 0x90ff);
}

#[test]
fn large_ids_bring_leaf_0b_to_an_old_cpu() {
    let mut old = testing::haswell().offered();
    old.0.get_mut(&Leaf::new(0)).unwrap().eax = 0xa;
    old.remove(0xb);
    let few = leaves(old.clone(), Manual::Intel, &Topology::flat(8).unwrap(), 7);
    assert_eq!((registers(&few, Leaf::new(0))[0], few.function(0xb).count()), (0xa, 0));
    let many = leaves(old, Manual::Intel, &Topology::flat(256).unwrap(), 255);
    assert_eq!(registers(&many, Leaf::new(0))[0], 0xb);
    assert_eq!(registers(&many, Leaf::sub(0xb, 1)), [8, 256, 0x201, 255]);
}

#[test]
fn amd_leaves_tell_cores_and_nodes() {
    let topology = Topology::new(1, 2, 4, 2).unwrap();
    let cpuid = amd(&topology, 11);
    assert_eq!(registers(&cpuid, Leaf::new(1))[1], 0x0b10_0800);
    assert_eq!(registers(&cpuid, Leaf::new(0x8000_0001))[2] & 2, 2);
    assert_eq!(registers(&cpuid, Leaf::new(0x8000_0008)), [0x3028, 0x0200_0000, 0x400f, 0]);
    assert_eq!(registers(&cpuid, Leaf::sub(0x8000_001d, 2))[0], 1 << 14 | 0x43);
    assert_eq!(registers(&cpuid, Leaf::sub(0x8000_001d, 3))[0], 7 << 14 | 0x163);
    assert_eq!(registers(&cpuid, Leaf::new(0x8000_001e)), [11, 0x105, 0x101, 0]);
    assert_eq!(registers(&cpuid, Leaf::sub(0xb, 1)), [4, 16, 0x201, 11]);
    assert_eq!(cpuid.function(0x8000_0026).count(), 0);
}

#[test]
fn amd_without_topology_extensions_has_no_leaf_1e() {
    let cpuid = testing::epyc().offered();
    let cpuid = leaves(cpuid, Manual::Amd, &Topology::flat(2).unwrap(), 1);
    assert_eq!(cpuid.function(0x8000_001e).count(), 0);
}

#[test]
fn newer_amd_has_domains() {
    let mut cpuid = epyc();
    cpuid.0.get_mut(&Leaf::new(0x8000_0000)).unwrap().eax = 0x8000_0028;
    let cpuid = leaves(cpuid, Manual::Amd, &Topology::new(2, 2, 4, 2).unwrap(), 31);
    let domain = |index| registers(&cpuid, Leaf::sub(0x8000_0026, index));
    assert_eq!(domain(0), [1, 2, 0x100, 31]);
    assert_eq!(domain(1), [3, 8, 0x201, 31]);
    assert_eq!(domain(2), [3, 8, 0x302, 31]);
    assert_eq!(domain(3), [4, 16, 0x403, 31]);
    assert_eq!(domain(4), [0, 0, 4, 31]);
}

/// The bits that a topology may change: function, register, bits. All of them in functions that are about nothing else.
const MINE: [(u32, Register, u32); 9] = [
    (0x0, Register::Eax, !0),
    (0x1, Register::Ebx, 0xffff_0000),
    (0x1, Register::Edx, 1 << 28),
    (0x4, Register::Eax, 0xffff_c000),
    (0x8000_0000, Register::Eax, !0),
    (0x8000_0001, Register::Ecx, 1 << 1),
    (0x8000_0008, Register::Ecx, 0xf0ff),
    (0x8000_001d, Register::Eax, 0x03ff_c000),
    (0x8000_001e, Register::Eax, !0),
];
const ALL_MINE: [u32; 4] = [0xb, 0x1f, 0x8000_001e, 0x8000_0026];

fn any_topology() -> impl Strategy<Value = Topology> {
    (1u32..5, 1u32..4, 1u32..20, 1u32..4)
        .prop_map(|(sockets, dies, cores, threads)| Topology::new(sockets, dies, cores, threads).unwrap())
}

fn any_cpuid() -> impl Strategy<Value = Cpuid> {
    let functions = prop_oneof![0u32..0x30, 0x4000_0000u32..0x4000_0002, 0x8000_0000u32..0x8000_0030];
    let leaf =
        (functions, proptest::option::of(0u32..5)).prop_map(|(function, index)| Leaf { function, index });
    let registers = any::<[u32; 4]>().prop_map(|[eax, ebx, ecx, edx]| Registers { eax, ebx, ecx, edx });
    proptest::collection::btree_map(leaf, registers, 0..60).prop_map(Cpuid)
}

proptest! {
    #[test]
    fn leaves_lead_back_to_the_topology(topology in any_topology(), vcpu in any::<proptest::sample::Index>(), amd_host in any::<bool>()) {
        let vcpu = u32::try_from(vcpu.index(topology.vcpus().try_into().unwrap())).unwrap();
        let cpuid = if amd_host { amd(&topology, vcpu) } else { intel(&topology, vcpu) };
        let [smt_shift, threads, _, id] = registers(&cpuid, Leaf::sub(0xb, 0));
        let [package_shift, processors, ..] = registers(&cpuid, Leaf::sub(0xb, 1));
        let core = vcpu / topology.threads;
        prop_assert_eq!(id & ((1 << smt_shift) - 1), vcpu % topology.threads);
        prop_assert_eq!(id >> package_shift, vcpu / topology.threads_per_package());
        prop_assert_eq!((threads, processors), (topology.threads, topology.threads_per_package()));
        let in_package = (id & ((1 << package_shift) - 1)) >> smt_shift;
        let die_bits = topology.die_shift() - topology.core_shift();
        prop_assert_eq!(in_package & ((1 << die_bits) - 1), core % topology.cores);
        prop_assert_eq!(in_package >> die_bits, core / topology.cores % topology.dies);
    }

    #[test]
    fn no_other_bit_changes(cpuid in any_cpuid(), topology in any_topology(), amd_host in any::<bool>()) {
        let manual = if amd_host { Manual::Amd } else { Manual::Intel };
        let vcpu = topology.vcpus() - 1;
        let mut after = leaves(cpuid.clone(), manual, &topology, vcpu);
        let mut before = cpuid;
        let mine = BTreeMap::from(MINE.map(|(function, register, mask)| ((function, register as u32), mask)));
        for cpuid in [&mut before, &mut after] {
            cpuid.0.retain(|leaf, _| !ALL_MINE.contains(&leaf.function));
            for (leaf, registers) in &mut cpuid.0 {
                for register in Register::ALL {
                    let mask = mine.get(&(leaf.function, register as u32)).copied().unwrap_or(0);
                    *registers.get_mut(register) &= !mask;
                }
            }
            // A leaf that wasn't there has only the topology's bits.
            cpuid.0.retain(|_, registers| !registers.is_zero());
        }
        prop_assert_eq!(before, after);
    }
}
