use std::{fs::OpenOptions, iter};

use super::*;

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[test]
fn locks_that_exclude_each_other() {
    for (first, second, both) in
        [(false, false, true), (false, true, false), (true, false, false), (true, true, false)]
    {
        let path = tempfile::NamedTempFile::new().unwrap();
        let files = [open(path.path()), open(path.path())];
        assert!(lock(&files[0], first).unwrap());
        assert_eq!(lock(&files[1], second).unwrap(), both, "writing: {first}, then {second}");
    }
}

/// The copy stands for that of a child that was forked and has not called execve yet.
#[test]
fn dropping_unlocks() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let locked = LockedFile::from(open(path.path()));
    assert!(lock(&locked, true).unwrap());
    let _of_child = locked.try_clone().unwrap();
    assert!(!lock(&open(path.path()), true).unwrap());
    drop(locked);
    assert!(lock(&open(path.path()), true).unwrap());
}

/// Even while the file stays open, as in a child that was forked and has not called execve yet.
#[test]
fn a_refused_disk_leaves_no_lock() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let reader = open(path.path());
    assert!(lock(&reader, false).unwrap());
    let refused = open(path.path());
    assert!(!lock(&refused, true).unwrap());
    assert!(lock(&open(path.path()), false).unwrap());
}

/// The locks that QEMU 7.2 holds on the image of a virtio-blk disk, writable and read-only.
#[test]
fn excludes_qemu() {
    let writable: &[off_t] = &[100, 101, 201];
    let read_only: &[off_t] = &[100, 201];
    for (qemu, writing, granted) in [
        (writable, true, false),
        (writable, false, false),
        (read_only, true, false),
        (read_only, false, true),
    ] {
        let path = tempfile::NamedTempFile::new().unwrap();
        let theirs = open(path.path());
        for &byte in qemu {
            fcntl(&theirs, F_OFD_SETLK, F_RDLCK, byte).unwrap();
        }
        assert_eq!(lock(&open(path.path()), writing).unwrap(), granted, "QEMU {qemu:?}, writing: {writing}");
    }
}

#[test]
fn names_the_holder() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let files = [open(path.path()), open(path.path())].map(LockedFile::from);
    assert_eq!(holder(&files[1]), None);
    assert!(lock(&files[0], true).unwrap());
    assert!(!lock(&files[1], true).unwrap());
    let name = holder(&files[1]).unwrap();
    assert!(name.ends_with(&format!(" (pid {})", process::id())), "{name}");
    assert_eq!(holder(&files[0]), None);
    drop(files);
    // The process doesn't name itself.
    let alone = open(path.path());
    assert!(lock(&alone, true).unwrap());
    assert_eq!(holder(&alone), None);
}

#[test]
fn a_stale_lock_goes_away() {
    let ring = match io_uring::IoUring::new(1) {
        Ok(ring) => ring,
        Err(error) => return println!("skipped: io_uring: {error}"),
    };
    let path = tempfile::NamedTempFile::new().unwrap();
    let registered = open(path.path());
    assert!(lock(&registered, true).unwrap());
    ring.submitter().register_files(&[registered.as_raw_fd()]).unwrap();
    drop(registered);
    let waiting = open(path.path());
    assert!(!lock(&waiting, true).unwrap(), "the ring still has it");
    // A child of another test has all files open until it executes its program.
    let soon = |is_so: &dyn Fn() -> bool| iter::repeat_with(is_so).take(100).any(|so| so || pause());
    assert!(soon(&|| holder(&waiting).is_none()));
    let ring = thread::spawn(move || {
        thread::sleep(5 * PAUSE);
        drop(ring);
    });
    assert!(soon(&|| lock_or_blame(&waiting, true).unwrap().is_none()));
    ring.join().unwrap();
    let refused = lock_or_blame(&open(path.path()), true).unwrap().unwrap();
    assert!(refused.ends_with(&format!(" (pid {})", process::id())), "{refused}");
}

/// Lets some time pass, and does nothing else.
fn pause() -> bool {
    thread::sleep(PAUSE);
    false
}
