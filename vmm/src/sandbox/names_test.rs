use super::*;

#[test]
fn calls_have_their_names() {
    for (number, expected) in [
        (libc::SYS_read, "read"),
        (libc::SYS_ioctl, "ioctl"),
        (libc::SYS_execve, "execve"),
        (libc::SYS_openat, "openat"),
        (libc::SYS_rseq, "rseq"),
        (libc::SYS_pidfd_send_signal, "pidfd_send_signal"),
        (libc::SYS_io_uring_setup, "io_uring_setup"),
        (libc::SYS_clone3, "clone3"),
        (libc::SYS_landlock_create_ruleset, "landlock_create_ruleset"),
        (libc::SYS_mseal, "mseal"),
    ] {
        assert_eq!(name(i32::try_from(number).unwrap()), Some(expected));
    }
    for none in [-1, 174, 335, 423, 463, i32::MAX] {
        assert_eq!(name(none), None, "{none}");
    }
}
