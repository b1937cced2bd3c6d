use super::*;

fn input(typed: bool) -> Input {
    Input {
        file: tempfile::tempfile().unwrap(),
        pending: VecDeque::new(),
        escapes: typed.then(Escapes::default),
        told_of_loss: false,
        ended: false,
    }
}

#[test]
fn what_is_typed_waits_for_the_guest_and_keys_for_nobody() {
    let mut input = input(true);
    let text: Vec<u8> = (b'a'..=b'z').cycle().take(64 << 10).collect();
    for part in text.chunks(4096) {
        assert!(input.has_room());
        assert_eq!(input.take(part), []);
    }
    assert_eq!(input.take(b"\x01x"), [Key::Quit]);
    let mut got: Vec<u8> = Vec::new();
    while !input.deliver(|bytes| {
        let some = bytes.len().min(64);
        got.extend(&bytes[..some]);
        some
    }) {}
    assert!(got == text);
}

#[test]
fn what_is_typed_without_end_is_bounded() {
    let mut input = input(true);
    for _ in 0..2 * TYPED / 4096 {
        input.take(&[b'.'; 4096]);
    }
    assert_eq!(input.pending.len(), TYPED);
    assert_eq!(input.take(b"\x01h"), [Key::Help]);
}

#[test]
fn a_pipe_waits_by_itself() {
    let mut input = input(false);
    assert_eq!(input.take(b"\x01x"), [], "it has no keys");
    input.take(&[b'.'; 4096]);
    assert!(!input.has_room());
    assert!(!input.deliver(|_| 100));
    assert!(input.has_room());
    assert!(input.deliver(|bytes| bytes.len()));
}

#[test]
fn what_came_before_the_end_waits() {
    let mut input = input(false);
    input.take(b"abc");
    assert_eq!(input.read(), [], "the file is empty");
    assert!(!input.has_room());
    assert!(input.deliver(|bytes| {
        assert_eq!(bytes, b"abc");
        bytes.len()
    }));
}
