use super::*;

/// The values in Linux' `include/uapi/linux/kvm.h`.
#[test]
fn numbers_are_kvms() {
    assert_eq!(KVM_SET_TSC_KHZ, 0xaea2);
    assert_eq!(KVM_X86_SETUP_MCE, 0x4008_ae9c);
    assert_eq!(KVM_X86_GET_MCE_CAP_SUPPORTED, 0x8008_ae9d);
    assert_eq!(KVM_GET_SREGS2, 0x8140_aecc);
    assert_eq!(KVM_SET_SREGS2, 0x4140_aecd);
    assert_eq!(size_of::<Sregs2>(), 0x140);
    assert_eq!(KVM_SET_DEVICE_ATTR, 0x4018_aee1);
    assert_eq!(KVM_GET_DEVICE_ATTR, 0x4018_aee2);
}

#[test]
fn an_interrupted_ioctl_is_asked_again_and_other_errors_are_answers() {
    for (answers, last) in [
        (&[Err(libc::EINTR), Err(libc::EINTR), Ok(7)][..], Ok(7)),
        (&[Err(libc::EINTR), Err(libc::EAGAIN), Ok(7)], Err(libc::EAGAIN)),
    ] {
        let mut answers = answers.iter();
        let answer = again(|| answers.next().unwrap().map_err(Error::new));
        assert_eq!(answer.map_err(|error| error.errno()), last);
    }
}
