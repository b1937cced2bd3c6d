use std::{
    io::{self, Write},
    os::fd::OwnedFd,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::port::stdio::Stdio;

/// Types, in the parts in which it is read.
fn type_in(typed: &mut Typed, text: &[u8], input: &mut Input) -> Vec<Key> {
    let mut keys = Vec::new();
    for part in text.chunks(Input::CAPACITY) {
        assert_eq!(typed.read.push(part), part.len());
        keys.extend(typed.pass_on(input));
    }
    keys
}

#[test]
fn typed_text_goes_to_the_guest_and_nvmms_keys_do_not() {
    let text: Vec<u8> = (b'a'..=b'z').cycle().take(64 << 10).collect();
    let (mut typed, mut input) = (Typed::default(), Keyboard::input());
    assert_eq!(type_in(&mut typed, &text, &mut input), []);
    assert_eq!(type_in(&mut typed, b"\x01", &mut input), []);
    assert_eq!(type_in(&mut typed, b"x!\x01h", &mut input), [Key::Quit, Key::Help]);
    let mut got = Vec::new();
    while !input.is_empty() {
        input.deliver(|bytes| {
            let some = bytes.len().min(64);
            got.extend(&bytes[..some]);
            some
        });
    }
    assert_eq!(got.strip_prefix(&*text), Some(&b"!"[..]));
}

#[test]
fn endless_typing_is_bounded_and_nvmms_keys_work() {
    let (mut typed, mut input) = (Typed::default(), Keyboard::input());
    assert_eq!(type_in(&mut typed, &[b'.'; TYPED + 1], &mut input), []);
    assert!(typed.told_of_loss);
    assert_eq!(input.room(), 0);
    assert_eq!(type_in(&mut typed, b"abc\x01x", &mut input), [Key::Quit]);
}

/// Reads whenever the main thread would, and returns the keys.
fn read_all(typed: &mut Typed, backend: &mut Stdio, input: &mut Input) -> Vec<Key> {
    let mut keys = Vec::new();
    let is_ready = |backend: &Stdio| {
        poll(&mut [PollFd::new(&backend.fd().unwrap(), PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
    };
    while typed.again_at.is_some() || is_ready(backend) {
        keys.extend(typed.read(backend, input));
    }
    keys
}

#[test]
fn a_read_that_leaves_no_room_is_not_the_last() {
    for len in [Input::CAPACITY - 1, Input::CAPACITY, Input::CAPACITY + 1, 3 * Input::CAPACITY] {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut backend = Stdio::on(Some(OwnedFd::from(reader).into()), None).unwrap();
        let (mut typed, mut input) = (Typed::default(), Keyboard::input());
        assert_eq!(typed.read(&mut backend, &mut input), []);
        writer.write_all(&vec![b'w'; len]).unwrap();
        assert_eq!(read_all(&mut typed, &mut backend, &mut input), []);
        assert_eq!(TYPED - input.room(), len);
        writer.write_all(b"\x01x").unwrap();
        assert_eq!(read_all(&mut typed, &mut backend, &mut input), [Key::Quit], "after {len} bytes");
    }
}
