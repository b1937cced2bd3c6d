use super::*;

const INTEL: &str = "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i7\nflags\t\t: fpu vmx ept vpid\nvmx flags\t: ept svm\n\nprocessor\t: 1\n";

#[test]
fn nesting_is_read_from_the_flags_alone() {
    assert_eq!(nesting(INTEL), "VMX EPT");
    assert_eq!(nesting("flags : fpu svm npt"), "SVM NPT");
    assert_eq!(nesting("flags : fpu svm_lock nptx"), "");
    assert_eq!(nesting(""), "");
}

#[test]
fn fields_are_found_by_their_whole_name() {
    assert_eq!(field(INTEL, "model name"), Some("Intel(R) Core(TM) i7"));
    assert_eq!(field(INTEL, "vmx flags"), Some("ept svm"));
    assert_eq!(field(INTEL, "model"), None);
}

#[test]
fn features_are_the_flags_and_those_of_vmx() {
    assert_eq!(features(INTEL), ["fpu", "vmx", "ept", "vpid", "vmx-ept", "vmx-svm"]);
    assert_eq!(features("flags : fpu"), ["fpu"]);
    assert!(features("").is_empty());
}

#[test]
fn differences_of_features_give_them_back() {
    let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (below, above) = (list("fpu vmx monitor ept"), list("fpu vmx ept hypervisor"));
    let said = difference(&below, &above);
    assert_eq!(said, ["-monitor", "+hypervisor"]);
    assert_eq!(whole(&below, said), above);
    assert_eq!(whole(&below, difference(&below, &below)), below);
    assert_eq!(whole(&below, above.clone()), above);
}
