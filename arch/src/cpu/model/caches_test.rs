use super::*;

#[test]
fn leaves_match_real_cpus_manuals() {
    // SDM 2A, leaf 4 of a Xeon (Sapphire Rapids): 60 MiB in 15 ways of 65536 sets, hashed.
    let leaves = Caches::own(&SAPPHIRE_RAPIDS).leaves(Vendor::Intel);
    let l3 = Registers { eax: 0x163, ebx: 0x0380_003f, ecx: 0xffff, edx: 4 };
    assert!(leaves.contains(&(Leaf::sub(4, 3), l3)), "{leaves:x?}");
}
