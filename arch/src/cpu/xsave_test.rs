use super::*;
use crate::cpu::testing::{epyc, software};

/// AVX, AVX-512, PKU and shadow stacks.
fn cpuid() -> Cpuid {
    let subleaf = |index, eax, ebx, ecx| (Leaf::sub(FUNCTION, index), Registers { eax, ebx, ecx, edx: 0 });
    let subleaves = [
        subleaf(0, 0x2e7, 2696, 2696),
        subleaf(1, 0xf, 2440, 1 << 11),
        subleaf(2, 256, 576, 0),
        subleaf(5, 64, 1088, 0),
        subleaf(6, 512, 1152, 0),
        subleaf(7, 1024, 1664, 0),
        subleaf(9, 8, 2688, 2),
        subleaf(11, 16, 0, 1),
    ];
    Cpuid(subleaves.into())
}

fn without(cpuid: &mut Cpuid, names: &[&str]) {
    rewrite(cpuid, |name| names.contains(&name), true);
}

#[test]
fn leaves_stay_the_same_if_no_component_is_removed() {
    for given in [epyc().supported, software().supported, cpuid()] {
        let mut cpuid = given.clone();
        without(&mut cpuid, &[]);
        assert_eq!(cpuid, given);
    }
}

#[test]
fn state_goes_with_its_feature() {
    let mut cpuid = cpuid();
    without(&mut cpuid, &["avx512f"]);
    assert!(!cpuid.0.contains_key(&Leaf::sub(FUNCTION, 5)));
    // The last one left has its place from before.
    assert_eq!(cpuid.get(Leaf::sub(FUNCTION, 0)), Registers { eax: 0x207, ebx: 2696, ecx: 2696, edx: 0 });
    without(&mut cpuid, &["avx512f", "pku"]);
    assert_eq!(cpuid.get(Leaf::sub(FUNCTION, 0)), Registers { eax: 7, ebx: 832, ecx: 832, edx: 0 });
    without(&mut cpuid, &["xsave"]);
    assert!(cpuid.function(FUNCTION).next().is_none());
}

#[test]
fn compacted_state_is_packed() {
    let mut cpuid = cpuid();
    // AVX ends at 832; PKU starts at the next multiple of 64, which that is.
    without(&mut cpuid, &["avx512f", "cet-ss", "cet-ibt"]);
    assert_eq!(cpuid.get(Leaf::sub(FUNCTION, 1)), Registers { eax: 0xf, ebx: 832 + 8, ecx: 0, edx: 0 });
    assert!(!cpuid.0.contains_key(&Leaf::sub(FUNCTION, 11)));
}

#[test]
fn state_of_two_features_goes_with_the_last() {
    let mut cpuid = cpuid();
    for gone in [["cet-ss"], ["cet-ibt"]] {
        without(&mut cpuid, &gone);
        assert!(cpuid.0.contains_key(&Leaf::sub(FUNCTION, 11)), "without {gone:?}");
    }
    without(&mut cpuid, &["cet-ss", "cet-ibt"]);
    assert!(!cpuid.0.contains_key(&Leaf::sub(FUNCTION, 11)));
}

#[test]
fn features_without_all_their_state_are_half() {
    let half: Vec<_> = half(&cpuid()).collect();
    // Shadow stacks have two parts, of which one is there.
    assert_eq!(half, ["mpx", "mpx", "cet-ss", "cet-ibt", "amx-tile", "amx-tile", "apxf", "lwp"]);
}

#[test]
fn supervisor_state_needs_xsaves() {
    let mut cpuid = cpuid();
    cpuid.0.get_mut(&Leaf::sub(FUNCTION, 1)).unwrap().eax = 0x7;
    without(&mut cpuid, &["xsaves"]);
    assert_eq!(cpuid.get(Leaf::sub(FUNCTION, 1)), Registers { eax: 0x7, ebx: 2696 - 256, ecx: 0, edx: 0 });
}

#[test]
fn state_without_a_name_is_for_hosts() {
    let mut cpuid = cpuid();
    let key = Leaf::sub(FUNCTION, 14);
    cpuid.0.insert(key, Registers { eax: 64, ebx: 0, ecx: 1, edx: 0 });
    cpuid.0.get_mut(&Leaf::sub(FUNCTION, 1)).unwrap().ecx |= 1 << 14;
    without(&mut cpuid, &[]);
    assert!(cpuid.0.contains_key(&key));
    rewrite(&mut cpuid, |_| false, false);
    assert!(!cpuid.0.contains_key(&key));
}

#[test]
fn without_the_compacted_form_it_has_no_size() {
    let mut cpuid = cpuid();
    cpuid.0.get_mut(&Leaf::sub(FUNCTION, 1)).unwrap().eax &= !(XSAVEC | XSAVES);
    rewrite(&mut cpuid, |_| false, true);
    assert_eq!(cpuid.get(Leaf::sub(FUNCTION, 1)).ebx, 0);
}
