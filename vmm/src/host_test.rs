use super::*;

fn error(path: &str) -> String {
    Host::open(Path::new(path)).unwrap_err().to_string()
}

#[test]
fn nodes_other_than_kvm_are_named_with_a_remedy() {
    let missing = error("/dev/no-such-kvm");
    assert!(missing.starts_with("/dev/no-such-kvm is missing: load kvm_intel or kvm_amd"), "{missing}");
    assert_eq!(error("/dev/null"), "/dev/null is not KVM: it does not answer KVM_GET_API_VERSION");
}
