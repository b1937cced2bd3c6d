//! Readers that come and go.

use std::{
    io::{Read, Seek},
    os::unix::net::UnixStream,
    time::Duration,
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::*;
use crate::output::{
    CAPACITY, Output, OutputOptions,
    tests::{until, wait},
};

fn output() -> Output {
    let options = OutputOptions { name: "test port", delay: Duration::ZERO, tell: true, waits: true };
    Output::to_readers(options).unwrap()
}

/// Connects a socket, and returns its other end.
fn connect(output: &Output) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    output.connect(Reader::socket(ours.into()));
    theirs
}

fn read(reader: &mut UnixStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    reader.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn pending_output_goes_to_the_next_reader() {
    let mut output = output();
    output.write_all(b"before anybody came, ").unwrap();
    let mut first = connect(&output);
    output.write_all(b"and after").unwrap();
    assert_eq!(read(&mut first, 30), b"before anybody came, and after");
    output.disconnect();
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "the connection has ended");
    output.write_all(b"for the second").unwrap();
    assert!(!output.is_gone());
    let mut second = connect(&output);
    assert_eq!(read(&mut second, 14), b"for the second");
    until(|| output.is_gone());
    assert_eq!((output.gone(), output.lost()), (44, 0));
}

#[test]
fn a_reader_that_vanishes_takes_no_waiting_byte_with_it() {
    let mut output = output();
    let mut first = connect(&output);
    let text: Vec<u8> = (0..253).cycle().take(CAPACITY).collect();
    output.write_all(&text).unwrap();
    let head = read(&mut first, 1000);
    // Some bytes are queued in it, and the thread waits for room.
    output.disconnect();
    let mut queued = Vec::new();
    first.read_to_end(&mut queued).unwrap();
    let mut second = connect(&output);
    let rest = read(&mut second, text.len() - head.len() - queued.len());
    assert!([head, queued, rest].concat() == text);
    assert_eq!(output.lost(), 0);
}

#[test]
fn a_reader_that_hangs_up_is_gone_and_its_error_no_loss() {
    let mut output = output();
    drop(connect(&output));
    output.write_all(b"hello").unwrap();
    until(|| !output.is_connected());
    let mut second = connect(&output);
    assert_eq!(read(&mut second, 5), b"hello");
}

#[test]
fn the_oldest_output_is_lost_and_counted_while_unread() {
    let mut output = output();
    let text: Vec<u8> = (0..253).cycle().take(CAPACITY + 1000).collect();
    output.write_all(&text).unwrap();
    assert_eq!(output.lost(), 1000);
    let mut reader = connect(&output);
    assert!(read(&mut reader, CAPACITY) == text[1000..]);
}

#[test]
fn the_end_waits_for_no_reader_that_is_not_there() {
    let mut output = output();
    output.write_all(b"nobody hears that").unwrap();
    let event = output.finish().unwrap();
    wait(&event);
    assert!(output.is_gone());
}

#[test]
fn the_end_waits_no_longer_when_the_reader_goes() {
    let mut output = output();
    let reader = connect(&output);
    output.write_all(&vec![b'.'; CAPACITY]).unwrap();
    let event = output.finish().unwrap();
    assert!(!output.is_gone());
    drop(reader);
    wait(&event);
}

#[test]
fn telnet_gets_its_command_byte_twice() {
    let mut output = output();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    output.connect(Reader::telnet(ours.into()));
    output.write_all(b"\xffa\xff\xffbc\xff").unwrap();
    assert_eq!(read(&mut theirs, 11), b"\xff\xffa\xff\xff\xff\xffbc\xff\xff");
    until(|| output.is_gone());
    assert_eq!(output.gone(), 7);
}

#[test]
fn a_log_gets_the_guests_output_with_and_without_readers() {
    let mut log = tempfile::tempfile().unwrap();
    let mut output = output();
    let options = OutputOptions { name: "test log", delay: Duration::ZERO, tell: true, waits: true };
    output.log_to(Output::new(log.try_clone().unwrap(), options).unwrap());
    output.write_all(b"unread, ").unwrap();
    let mut reader = connect(&output);
    output.write_all(b"read").unwrap();
    output.offer(b"nvmm's own");
    assert_eq!(read(&mut reader, 22), b"unread, readnvmm's own");
    wait(&output.log().unwrap().finish().unwrap());
    let mut text = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    assert_eq!(text, "unread, read");
}

/// A regular file that can't grow, as on a full disk.
#[test]
fn a_log_on_a_full_disk_blocks_nothing() {
    let mut output = output();
    let full = memfd_create("full", MemfdFlags::ALLOW_SEALING).unwrap();
    fcntl_add_seals(&full, SealFlags::GROW).unwrap();
    let options = OutputOptions { name: "test log", delay: Duration::ZERO, tell: true, waits: true };
    output.log_to(Output::new(full.into(), options).unwrap());
    let mut reader = connect(&output);
    for _ in 0..100 {
        output.write_all(&[b'x'; 4096]).unwrap();
        read(&mut reader, 4096);
    }
    wait(&output.log().unwrap().finish().unwrap());
}
