use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
};

use proptest::prelude::*;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const NEVER: Stop<'static> = &|| false;

fn pair() -> (Connection, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    (Connection::new(one.into()).unwrap(), other)
}

/// Receives these bytes as a message.
fn receive(bytes: &[u8]) -> Result<Message, Broken> {
    let (mut connection, mut other) = pair();
    let bytes = bytes.to_vec();
    let writer = thread::spawn(move || other.write_all(&bytes));
    let received = connection.receive(Some(LONG), NEVER);
    drop(connection);
    let _ = writer.join();
    received
}

/// The bytes of a message.
fn sent(kind: Kind, content: &[u8]) -> Vec<u8> {
    let (mut connection, mut other) = pair();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        other.read_to_end(&mut bytes).map(|_| bytes)
    });
    connection.send(kind, &[content], LONG, NEVER).unwrap();
    drop(connection);
    reader.join().unwrap().unwrap()
}

#[test]
fn messages_arrive_as_they_were_sent() {
    let content: Vec<u8> = (0..3 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let (mut one, other) = pair();
    let mut other = Connection::new(other.into()).unwrap();
    let expected = content.clone();
    let reader = thread::spawn(move || {
        assert_eq!(other.expect(Kind::Machine, Some(LONG), NEVER).unwrap(), expected);
        assert_eq!(other.expect(Kind::Go, Some(LONG), NEVER).unwrap(), b"");
        assert!(matches!(other.receive(Some(LONG), NEVER), Err(Broken::Closed)));
    });
    one.send(Kind::Machine, &[&content[..5], &[], &content[5..]], LONG, NEVER).unwrap();
    one.send(Kind::Go, &[], LONG, NEVER).unwrap();
    drop(one);
    reader.join().unwrap();
}

#[test]
fn a_descriptor_comes_with_its_message() {
    let (mut one, other) = pair();
    let mut other = Connection::new(other.into()).unwrap();
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    one.send_with(Kind::Ready, &[], Some(reading.as_fd()), LONG, NEVER).unwrap();
    other.expect(Kind::Ready, Some(LONG), NEVER).unwrap();
    let passed = other.take_passed().unwrap();
    rustix::io::write(&writing, b"x").unwrap();
    let mut byte = [0];
    rustix::io::read(&passed, &mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn messages_that_are_too_long_are_refused_before_they_arrive() {
    let mut header = Vec::new();
    header.extend_from_slice(&(Kind::Pages as u32).to_le_bytes());
    header.extend_from_slice(&u32::MAX.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    assert!(matches!(receive(&header), Err(Broken::Nonsense("too long a message"))));
    let (mut connection, _other) = pair();
    let sent = connection.send(Kind::Go, &[b"x"], LONG, NEVER);
    assert!(matches!(sent, Err(Broken::Nonsense("too long"))), "{sent:?}");
}

#[test]
fn a_reason_is_received() {
    let heard = receive(&sent(Kind::Refused, "no room".as_bytes()));
    assert_eq!(heard.unwrap_err().to_string(), "the other side refuses: no room");
    // Also by a side that is about to send.
    let (mut connection, other) = pair();
    Connection::new(other.into()).unwrap().refuse("no room");
    let content = vec![1; 1 << 20];
    let sent = (0..100).find_map(|_| connection.send(Kind::Pages, &[&content], LONG, NEVER).err());
    assert_eq!(sent.unwrap().to_string(), "the other side refuses: no room");
}

#[test]
fn a_side_that_must_give_up_does_not_wait() {
    let (mut connection, _other) = pair();
    assert!(matches!(connection.receive(None, &|| true), Err(Broken::Cancelled)));
    let silent = connection.receive(Some(Duration::ZERO), NEVER);
    assert!(matches!(silent, Err(Broken::Silent(_))), "{silent:?}");
}

proptest! {
    /// Any byte of a message may be wrong.
    #[test]
    fn a_changed_message_is_none(content in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bits in 1_u8..) {
        let mut bytes = sent(Kind::State, &content);
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        prop_assert!(receive(&bytes).is_err());
    }

    #[test]
    fn a_message_that_is_cut_is_none(content in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let bytes = sent(Kind::State, &content);
        let at = at.index(bytes.len());
        prop_assert!(matches!(receive(&bytes[..at]), Err(Broken::Closed)));
    }
}
