use super::*;

/// A CPU with VMX and a time stamp counter.
fn promise() -> Promise {
    let first = Registers { eax: 0x306c3, ecx: 1 << 5 | 1 << 26, edx: 1 << 4, ..Registers::default() };
    let seventh = Registers { ebx: TSX.1 | 1 << 7, ..Registers::default() };
    let leaves = Cpuid(BTreeMap::from([(Leaf::new(1), first), (TSX.0, seventh)]));
    Promise { leaves, msrs: BTreeMap::from([(0x480, 1)]), below: vec!["fpu".into()] }
}

fn differing(change: impl FnOnce(&mut Cpuid)) -> Vec<String> {
    let promise = promise();
    let mut found = promise.leaves.clone();
    change(&mut found);
    promise.differing(found)
}

fn leaf(cpuid: &mut Cpuid, leaf: Leaf) -> &mut Registers {
    cpuid.0.get_mut(&leaf).unwrap()
}

#[test]
fn a_feature_that_is_gone_is_named() {
    let broken = differing(|found| leaf(found, Leaf::new(1)).ecx &= !(1 << 5));
    assert_eq!(broken, ["CPUID.01H:ECX is 0x4000000 and not 0x4000020 (-vmx)"]);
}

#[test]
fn another_model_has_no_feature_name() {
    let broken = differing(|found| leaf(found, Leaf::new(1)).eax += 1);
    assert_eq!(broken, ["CPUID.01H:EAX is 0x306c4 and not 0x306c3"]);
}

#[test]
fn bits_that_follow_the_kernel_are_not_compared() {
    assert!(differing(|_| {}).is_empty());
    // OSXSAVE, and TSX switched off.
    assert!(differing(|found| leaf(found, Leaf::new(1)).ecx |= 1 << 27).is_empty());
    assert!(differing(|found| leaf(found, TSX.0).ebx &= !TSX.1).is_empty());
}

#[test]
fn a_promise_survives_the_image() {
    let text = serde_json::to_vec(&promise()).unwrap();
    assert_eq!(serde_json::from_slice::<Promise>(&text).unwrap(), promise());
}

#[test]
fn this_processor_answers_on_cpu_0() {
    // Leaf 0 answers with the number of leaves and the vendor, the same each time.
    let read = || on_first_processor(|| cpuid(Leaf::new(0))).unwrap();
    assert_eq!(read(), read());
    assert_ne!(read(), Registers::default());
}
