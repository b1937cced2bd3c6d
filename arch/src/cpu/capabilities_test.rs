use super::*;
use crate::cpu::{
    cpuid::{Leaf, Register},
    testing::haswell,
};

const TRUE_PROCBASED: u32 = 0x48e;

#[test]
fn bits_are_set_where_they_are() {
    let mut cpu = Capabilities::default();
    let avx = Place::Cpuid(Leaf::new(1), Register::Ecx, 28);
    cpu.set(avx, false);
    assert_eq!(cpu, Capabilities::default());
    cpu.set(avx, true);
    assert!(cpu.has(avx));
    assert_eq!(cpu.cpuid.get(Leaf::new(1)).ecx, 1 << 28);
    cpu.set(Place::Msr(0x10a, 33), true);
    assert_eq!(cpu.msrs[&0x10a], 1 << 33);
}

#[test]
fn controls_are_fixed_at_their_defaults() {
    let mut cpu = Capabilities { msrs: haswell().feature_msrs, ..Capabilities::default() };
    let given = cpu.msrs[&TRUE_PROCBASED];
    // CR3-load exiting is 1 on old CPUs, HLT exiting 0.
    let (cr3_load, hlt) = (Place::Control(TRUE_PROCBASED, 15), Place::Control(TRUE_PROCBASED, 7));
    assert!(cpu.has(cr3_load) && cpu.has(hlt));
    cpu.set(cr3_load, false);
    cpu.set(hlt, false);
    assert!(!cpu.has(cr3_load) && !cpu.has(hlt));
    assert_eq!(cpu.msrs[&TRUE_PROCBASED], (given | 1 << 15) & !(1 << (32 + 7)));
    cpu.set(cr3_load, true);
    cpu.set(hlt, true);
    assert_eq!(cpu.msrs[&TRUE_PROCBASED], given);
}
