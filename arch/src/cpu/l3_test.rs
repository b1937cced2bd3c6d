use super::*;
use crate::cpu::{profile::CpuProfile, testing, topology::Topology};

/// The levels of the caches that a guest is told of.
fn levels(cpuid: &Cpuid, function: u32) -> Vec<u32> {
    let caches = cpuid.function(function).map(|(_, registers)| registers.eax).filter(|eax| eax & 0x1f != 0);
    caches.map(|eax| eax >> LEVEL & 0b111).collect()
}

#[test]
fn no_leaf_reports_an_l3_cache_and_all_report_the_others() {
    for (name, host) in testing::all() {
        for spec in ["host", "host-model", "Haswell", "EPYC", "pentium3", "host,host-cache-info=off"] {
            let leaves = |words: &str| {
                let spec = format!("{spec}{words}").parse().unwrap();
                CpuProfile::resolve(&host, &spec, &Topology::flat(4).unwrap()).unwrap().leaves(2)
            };
            let (with, without) = (leaves(""), leaves(",l3-cache=off"));
            for function in CACHES {
                let others: Vec<_> =
                    levels(&with, function).into_iter().filter(|level| *level != 3).collect();
                assert_eq!(levels(&without, function), others, "{name}: {spec}: {function:#x}");
            }
            assert_eq!(L3.get(&without), 0, "{name}: {spec}");
            let mut rest = without.clone();
            for function in CACHES.into_iter().chain([L3.leaf.function, DESCRIPTORS]) {
                rest.remove(function);
            }
            assert!(rest.0.iter().all(|(leaf, registers)| with.get(*leaf) == *registers), "{name}: {spec}");
        }
    }
}

#[test]
fn a_cache_behind_the_l3_moves_up() {
    let cache = |kind, level| Registers { eax: level << LEVEL | kind, ebx: level, ..Registers::default() };
    let caches = [cache(1, 1), cache(3, 2), cache(3, 3), cache(3, 4)];
    let mut cpuid = Cpuid((0..).map(|index| Leaf::sub(4, index)).zip(caches).collect());
    let mut decisions = Vec::new();
    hide(&mut cpuid, &mut decisions);
    assert_eq!(levels(&cpuid, 4), [1, 2, 4]);
    assert!(cpuid.get(Leaf::sub(4, 3)).is_zero());
    assert!(decisions.iter().all(|decision| decision.why == WHY));
}

#[test]
fn descriptors_of_l3_caches_become_null() {
    // The count in the lowest byte of EAX stays, and what is no descriptor at all.
    assert_eq!(without_descriptors(Register::Eax, 0x004d_2c4d), 0x0000_2c4d);
    assert_eq!(without_descriptors(Register::Edx, 0x00eb_7d22), 0x0000_7d00);
    assert_eq!(without_descriptors(Register::Ecx, 0x8000_004d), 0x8000_004d);
    assert_eq!(without_descriptors(Register::Edx, 0xff), 0xff);
}
