use std::collections::BTreeSet;

use super::*;
use crate::cpu::{
    fields::Indexes,
    testing::{haswell, hosts, milan},
};

/// The leaves of every host, and those with every field.
fn leaves() -> BTreeSet<Leaf> {
    let of_hosts = hosts().into_iter().flat_map(|host| host.offered().0.into_keys());
    let of_fields = FIELDS.iter().flat_map(|field| {
        let last = match field.indexes {
            Indexes::All => 3,
            Indexes::One(index) | Indexes::From(index) => index + 3,
        };
        (0..=last).map(|index| Leaf::sub(field.function, index)).chain([Leaf::new(field.function)])
    });
    of_hosts.chain(of_fields).collect()
}

#[test]
fn each_bit_is_shown_once() {
    for leaf in leaves() {
        let Decoded { facts, features, rest } = Decoded::new(&Cpuid::default(), leaf);
        for (number, register) in Register::ALL.into_iter().enumerate() {
            let of_facts = facts.iter().map(|fact| fact.bits[number]);
            let of_features = features.iter().filter(|(of, ..)| *of == register).map(|(_, bit, _)| 1 << bit);
            let mut seen = rest[number];
            for bits in of_facts.chain(of_features) {
                assert_eq!(seen & bits, 0, "{leaf}:{register} twice: {bits:#x}");
                seen |= bits;
            }
            assert_eq!(seen, u32::MAX, "{leaf}:{register}");
        }
    }
}

fn told(cpuid: &Cpuid, leaf: Leaf) -> Vec<String> {
    let facts = Decoded::new(cpuid, leaf).facts;
    facts
        .iter()
        .map(|fact| format!("{} {}: {}", fact.place(), fact.name, fact.value).trim().to_owned())
        .collect()
}

#[test]
fn numbers_read_well() {
    let cpuid = haswell().offered();
    let has = |leaf, line: &str| {
        let told = told(&cpuid, leaf);
        assert!(told.contains(&line.to_owned()), "{line}: {told:#?}");
    };
    has(Leaf::new(0), "vendor: GenuineIntel");
    has(Leaf::new(1), "EAX signature: family 6, model 60, stepping 3 (0x306c3)");
    has(Leaf::new(1), "EBX[15:8] CLFLUSH line: 64 bytes");
    has(Leaf::new(2), "EAX cache and TLB descriptors: 01 63 03 76");
    has(Leaf::sub(4, 0), "cache: L1 data, 32 KiB: 8 ways, 64 sets, 64-byte lines");
    has(Leaf::sub(4, 3), "cache: L3 unified, 8 MiB: 16 ways, 8192 sets, 64-byte lines");
    has(Leaf::sub(0xd, 0), "EAX XCR0: x87 SSE AVX");
    has(Leaf::sub(0xd, 2), "state: AVX, 256 bytes at 576");
    has(Leaf::new(0x8000_0002), "brand: Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz");
    has(Leaf::new(0x4000_0000), "hypervisor: KVMKVMKVM");

    let cpuid = milan().offered();
    let has = |leaf, line: &str| {
        let told = told(&cpuid, leaf);
        assert!(told.contains(&line.to_owned()), "{line}: {told:#?}");
    };
    has(Leaf::new(1), "EAX signature: family 25, model 1, stepping 1 (0xa00f11)");
    has(Leaf::new(0x8000_0005), "ECX L1 data cache: 32 KiB, 8 ways, 64-byte lines, 1 per tag");
    has(Leaf::new(0x8000_0006), "ECX L2 cache: 512 KiB, 8 ways, 64-byte lines, 1 per tag");
    has(Leaf::new(0x8000_0008), "EAX[7:0] physical address bits: 48");
}
