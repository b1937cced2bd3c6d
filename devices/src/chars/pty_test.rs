use std::{
    fs::OpenOptions,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
};

use rustix::fs::{AtFlags, CWD, Timestamps, utimensat};

use super::*;
use crate::chars::testing::{Port, read};

fn pty() -> Port<Pty> {
    Port::new(Pty::new("COM4", None, None).unwrap())
}

fn attach(path: &Path) -> File {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

#[test]
fn bytes_go_both_ways_and_are_not_echoed() {
    let mut port = pty();
    let path = port.backend.path().to_owned();
    for _ in 0..10 {
        port.print(b"while nobody is there\r\n");
        port.settle();
        let mut peer = attach(&path);
        assert_eq!(read(&mut port, &peer, 23), b"while nobody is there\r\n");
        peer.write_all(b"ls\r\x03").unwrap();
        port.until_seen(b"ls\r\x03");
        drop(peer);
        port.settle();
        port.seen.clear();
    }
}

#[test]
fn input_that_the_guest_does_not_take_waits() {
    let mut port = pty();
    port.takes = false;
    let mut peer = attach(port.backend.path());
    let mut sent = Vec::new();
    // The kernel takes a moment to pass bytes on, and refuses more meanwhile.
    port.until(|port| {
        let byte = [b'a' + u8::try_from(sent.len() % 26).unwrap()];
        let written = peer.write(&byte).unwrap_or(0);
        sent.extend(&byte[..written]);
        written == 0 && port.input.room() == 0
    });
    port.settle();
    assert_eq!(port.input.room(), 0);
    drop(peer);
    port.settle();
    port.takes = true;
    port.until_seen(&sent);
}

#[test]
fn an_unread_terminal_blocks_nothing() {
    let mut port = pty();
    port.print(&vec![b'.'; 2 << 20]);
    assert!(port.backend.output.lost() > 0);
    let mut peer = attach(port.backend.path());
    peer.write_all(b"heard").unwrap();
    port.until_seen(b"heard");
}

#[test]
fn the_end_does_not_wait_for_a_missing_reader() {
    let mut port = pty();
    port.print(&[b'.'; 100_000]);
    port.settle();
    port.backend.finish();
    port.backend.output.finish().unwrap();
    assert!(port.backend.output.is_gone());
}

/// When the other side is closed, the kernel drops the output that was not read there.
#[test]
fn the_end_waits_for_the_reader() {
    let mut port = pty();
    let mut peer = attach(port.backend.path());
    port.print(b"power down");
    port.until(|port| port.backend.output.gone() == 10);
    port.backend.finish();
    let output = port.backend.output.clone();
    output.finish().unwrap();
    // The bytes are in transit for a moment.
    port.until(|_| output.read() == 0);
    assert!(!output.is_gone());
    let mut text = [0; 10];
    peer.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"power down");
    port.until(|_| output.is_gone());
    assert_eq!(output.read(), 10);
}

#[test]
fn the_end_does_not_wait_for_a_reader_that_goes() {
    let mut port = pty();
    let peer = attach(port.backend.path());
    port.print(&[b'.'; 100_000]);
    port.settle();
    port.backend.finish();
    let event = port.backend.output.finish().unwrap();
    assert!(!port.backend.output.is_gone());
    drop(peer);
    port.until(|_| event.read().is_ok());
}

#[test]
fn a_link_names_it_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("com4");
    // Left behind by a killed process.
    symlink("/dev/pts/nowhere", &link).unwrap();
    let pty = Pty::new("COM4", Some(&link), None).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), pty.path());
    assert!(matches!(Pty::new("COM4", Some(&link), None), Err(PtyError::Exists(_))), "it is in use");
    drop(pty);
    assert!(fs::symlink_metadata(&link).is_err());
    fs::write(&link, "text").unwrap();
    let error = Pty::new("COM4", Some(&link), None).unwrap_err().to_string();
    assert!(error.ends_with("com4: there is such a file; give another name, or remove it"), "{error}");
    assert!(matches!(Pty::new("COM4", Some(&folder.path().join("no/link")), None), Err(PtyError::Link(..))));
}

/// The kernel reuses the number of a killed process's pseudoterminal for the next one.
#[test]
fn a_stale_link_to_the_same_number_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("com4");
    let pty = Pty::new("COM4", None, None).unwrap();
    symlink(pty.path(), &path).unwrap();
    let link = Link::new(&path, pty.path()).unwrap();
    assert_eq!(fs::read_link(&path).unwrap(), pty.path());
    drop(link);
    assert!(fs::symlink_metadata(&path).is_err());
}

/// The kernel may also give the number to another process.
#[test]
fn a_link_that_is_older_than_what_it_leads_to_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("com4");
    let others = Pty::new("COM1", None, None).unwrap();
    symlink(others.path(), &link).unwrap();
    assert!(matches!(Pty::new("COM4", Some(&link), None), Err(PtyError::Exists(_))), "it may be in use");
    let long_ago = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: long_ago, last_modification: long_ago };
    utimensat(CWD, &link, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    let pty = Pty::new("COM4", Some(&link), None).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), pty.path());
}

#[test]
fn the_link_of_another_process_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("com4");
    let missing = folder.path().join("missing");
    for to in [missing.as_path(), Path::new("/no/such/target"), Path::new("/dev/ptmx")] {
        symlink(to, &link).unwrap();
        assert!(matches!(Pty::new("COM4", Some(&link), None), Err(PtyError::Exists(_))), "{to:?}");
        assert_eq!(fs::read_link(&link).unwrap(), to);
        fs::remove_file(&link).unwrap();
    }
}
