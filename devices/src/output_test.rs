use std::{
    io::{PipeReader, Read, Seek},
    os::fd::OwnedFd,
    thread,
};

use rustix::event::{PollFd, PollFlags, poll};

use super::*;

fn options() -> OutputOptions {
    OutputOptions { name: "test output", delay: Duration::from_millis(10), tell: true, waits: true }
}

fn pipe() -> (PipeReader, Output) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, Output::new(File::from(OwnedFd::from(writer)), options()).unwrap())
}

pub(super) fn wait(event: &EventFd) {
    until(|| event.read().is_ok());
}

/// Waits until the condition holds.
pub(super) fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn bytes_go_out_together_and_soon() {
    let (mut reader, mut output) = pipe();
    for byte in b"login: " {
        output.write_all(&[*byte]).unwrap();
    }
    let mut text = [0; 100];
    let len = reader.read(&mut text).unwrap();
    assert_eq!(&text[..len], b"login: ", "in one piece");
    output.write_all(b"x").unwrap();
    assert_eq!(reader.read(&mut text).unwrap(), 1, "and again");
    until(|| output.is_gone());
    assert_eq!((output.gone(), output.lost()), (8, 0));
}

#[test]
fn unread_output_holds_nothing_up() {
    let (mut reader, mut output) = pipe();
    let line = |n: usize| format!("{n:015}\n").into_bytes();
    let lines = 2 * CAPACITY / 16;
    output.write_all(&line(0)).unwrap();
    // The writing thread may start late, and the oldest line would then be lost before it reached the pipe.
    while !poll_in(&reader) {
        thread::yield_now();
    }
    for n in 1..lines {
        output.write_all(&line(n)).unwrap();
    }
    assert!(!output.is_gone());
    let event = output.finish().unwrap();
    let mut text = Vec::new();
    while !output.is_gone() || poll_in(&reader) {
        if poll_in(&reader) {
            let mut some = [0; 65536];
            let len = reader.read(&mut some).unwrap();
            text.extend(&some[..len]);
        }
    }
    wait(&event);
    assert_eq!(text.len() as u64 + output.lost(), (lines * 16) as u64);
    assert!(output.lost() >= (CAPACITY / 2) as u64, "{}", output.lost());
    assert!(text.starts_with(&line(0)), "the pipe had that");
    assert!(text.ends_with(&line(lines - 1)), "the oldest is lost");
}

fn poll_in(reader: &PipeReader) -> bool {
    poll(&mut [PollFd::new(reader, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
}

#[test]
fn a_slow_reader_misses_nothing() {
    let (mut reader, mut output) = pipe();
    let text: Vec<u8> = (0..253).cycle().take(CAPACITY).collect();
    output.write_all(&text).unwrap();
    let event = output.finish().unwrap();
    thread::sleep(Duration::from_millis(100));
    let mut seen = vec![0; text.len()];
    reader.read_exact(&mut seen).unwrap();
    wait(&event);
    assert!(seen == text);
    assert_eq!(output.lost(), 0);
}

/// A reader that reads slowly is not given up.
#[test]
fn each_byte_that_is_read_of_a_pipe_counts() {
    let (mut reader, mut output) = pipe();
    output.write_all(&[b'.'; CAPACITY]).unwrap();
    let _event = output.finish().unwrap();
    let mut before = output.read();
    // Until the pipe is full.
    until(|| {
        thread::sleep(Duration::from_millis(20));
        before == std::mem::replace(&mut before, output.read())
    });
    assert!(!output.is_gone());
    reader.read_exact(&mut [0]).unwrap();
    until(|| output.read() != before);
}

#[test]
fn an_end_can_wait_for_the_reader() {
    let (mut reader, mut output) = pipe();
    output.write_all(b"last words").unwrap();
    output.wait();
    assert!(output.is_gone());
    let mut text = [0; 10];
    reader.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"last words");
}

#[test]
fn a_regular_file_has_its_writer_wait_and_loses_nothing() {
    let mut file = tempfile::tempfile().unwrap();
    let mut output = Output::new(file.try_clone().unwrap(), options()).unwrap();
    let text: Vec<u8> = (0..253).cycle().take(3 * CAPACITY).collect();
    for part in text.chunks(1000) {
        output.write_all(part).unwrap();
    }
    wait(&output.finish().unwrap());
    assert_eq!(output.lost(), 0);
    let mut seen = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut seen).unwrap();
    assert!(seen == text);
}

#[test]
fn writers_that_must_not_wait_do_not() {
    let mut options = options();
    options.waits = false;
    let mut output = Output::new(tempfile::tempfile().unwrap(), options).unwrap();
    output.write_all(&vec![b'.'; 3 * CAPACITY]).unwrap();
    assert!(output.lost() > 0, "more than there is room for");
    // A pipe without a reader doesn't block offers.
    let (_reader, output) = pipe();
    for _ in 0..3 {
        output.offer(&vec![b'.'; CAPACITY]);
    }
    output.abandon();
}

#[test]
fn a_broken_pipe_loses_its_output_and_blocks_nothing() {
    let (reader, mut output) = pipe();
    drop(reader);
    output.write_all(&[b'x'; 3 * BATCH]).unwrap();
    wait(&output.finish().unwrap());
    assert_eq!((output.gone(), output.lost()), (3 * BATCH as u64, 0));
}

#[test]
fn an_output_without_data_is_finished_at_once() {
    let (_reader, output) = pipe();
    let event = output.finish().unwrap();
    assert!(event.read().is_ok() && output.is_gone());
}

#[test]
fn a_nonblocking_file_is_waited_for() {
    let (mut reader, writer) = io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut output = Output::new(File::from(OwnedFd::from(writer)), options()).unwrap();
    let text = vec![b'.'; CAPACITY / 2];
    output.write_all(&text).unwrap();
    let event = output.finish().unwrap();
    thread::sleep(Duration::from_millis(50));
    let mut seen = vec![0; text.len()];
    reader.read_exact(&mut seen).unwrap();
    wait(&event);
}
