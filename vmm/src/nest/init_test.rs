use super::*;

#[test]
fn the_level_is_read_from_the_command_line() {
    assert_eq!(level_of("console=ttyS0 quiet nvmm.level=2 x=1\n"), Some(2));
    assert_eq!(level_of("console=ttyS0 xnvmm.level=2"), None);
    assert_eq!(level_of("nvmm.level=two"), None);
}

#[test]
fn a_module_that_does_not_load_says_what_the_cpu_lacks() {
    let error = load_error("kvm_amd", Errno::OPNOTSUPP);
    assert_eq!(
        error,
        "loading kvm_amd: Operation not supported (os error 95): no SVM in the CPU, or it is locked off"
    );
    assert_eq!(load_error("virtio", Errno::NOEXEC), "loading virtio: Exec format error (os error 8)");
}

#[test]
fn a_test_process_is_not_init() {
    assert!(!is_init());
}
