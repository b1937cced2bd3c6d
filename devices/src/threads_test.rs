use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;

/// The calling thread's name and its blocked signals, from the kernel.
fn status() -> (String, u64) {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    (field("Name:"), u64::from_str_radix(&field("SigBlk:"), 16).unwrap())
}

#[test]
fn a_thread_has_the_name_of_its_role() {
    for (role, name) in [
        (Role::Machine, "machine"),
        (Role::Vcpu(17), "vcpu17"),
        (Role::Queue("blk3 root.img".to_owned()), "blk3 root.img"),
        (Role::Queue("blk3 a-long-name.qcow2".to_owned()), "blk3 a-long-nam"),
        (Role::Sockets("vsock".to_owned()), "vsock"),
        (Role::Output("stdout".to_owned()), "stdout"),
    ] {
        let (found, _) = spawn(&role, status).unwrap().join().unwrap();
        assert_eq!(found, name);
        assert!(role.to_string().starts_with(name));
    }
}

#[test]
fn threads_leave_signals_to_the_one_that_waits_for_them() {
    let bit = |signal: i32| 1_u64 << (signal - 1);
    let (_, before) = status();
    let (_, theirs) = spawn(&Role::Proof, status).unwrap().join().unwrap();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGTSTP, libc::SIGXFSZ] {
        assert_ne!(theirs & bit(signal), 0, "signal {signal}");
    }
    assert_eq!(theirs & bit(libc::SIGSEGV), 0);
    assert_eq!(status().1, before, "the thread that spawns");
}

#[test]
fn a_threads_result_is_returned() {
    let answer = spawn(&Role::Cpuid, || thread::current().name().map(str::to_owned)).unwrap();
    assert_eq!(answer.join().unwrap().as_deref(), Some("cpuid"));
}

#[test]
fn a_thread_confines_itself_before_it_works() {
    static CONFINED: AtomicBool = AtomicBool::new(false);
    const ROLE: Role = Role::Viewer(77);
    confine_by(|role, moment| {
        if (role, moment) == (&ROLE, Moment::Start) {
            CONFINED.store(true, Ordering::Relaxed);
        }
    });
    let is_confined = spawn(&ROLE, || CONFINED.load(Ordering::Relaxed)).unwrap().join().unwrap();
    assert!(is_confined);
}
