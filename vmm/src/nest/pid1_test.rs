use super::*;

#[test]
fn parameters_are_found_by_their_whole_name() {
    assert_eq!(find("console=ttyS0 quiet nvmm.level=2 x=1\n", LEVEL_PARAMETER), Some("2"));
    assert_eq!(find("console=ttyS0 xnvmm.level=2", LEVEL_PARAMETER), None);
}

#[test]
fn a_module_that_does_not_load_names_the_cpus_missing_feature() {
    let error = load_error("kvm_amd", Errno::OPNOTSUPP);
    assert_eq!(
        error,
        "loading kvm_amd: Operation not supported (os error 95): no SVM in the CPU, or it is locked off"
    );
    assert_eq!(load_error("virtio", Errno::NOEXEC), "loading virtio: Exec format error (os error 8)");
}

#[test]
fn an_error_has_its_kind_of_failure() {
    let error = anyhow!("no such file").context("opening kvm.ko").context(FailureKind::KvmDidNotLoad);
    assert_eq!(explain(&error), (FailureKind::KvmDidNotLoad, "opening kvm.ko: no such file".into()));
    assert_eq!(explain(&anyhow!("oops")), (FailureKind::Vmm, "oops".into()));
}
