use super::*;

#[test]
fn what_waits_is_delivered_in_order_as_it_is_taken() {
    let text: Vec<u8> = (b'a'..=b'z').cycle().take(64 << 10).collect();
    let mut waiting = Waiting::default();
    text.chunks(4096).for_each(|part| waiting.extend_typed(part));
    let mut got: Vec<u8> = Vec::new();
    while !waiting.is_empty() {
        waiting.deliver(|bytes| {
            let some = bytes.len().min(64);
            got.extend(&bytes[..some]);
            some
        });
    }
    assert!(got == text);
    waiting.deliver(|_| panic!("nothing waits"));
}

#[test]
fn what_is_typed_without_end_is_bounded() {
    let mut waiting = Waiting::default();
    waiting.extend_typed(b"first");
    for _ in 0..2 * TYPED / 4096 {
        waiting.extend_typed(&[b'.'; 4096]);
    }
    assert_eq!(waiting.bytes.len(), TYPED);
    waiting.deliver(|bytes| {
        assert!(bytes.starts_with(b"first."), "the newest is lost");
        bytes.len()
    });
    assert!(waiting.is_empty());
}

#[test]
fn whoever_sends_waits_for_room() {
    let mut waiting = Waiting::default();
    assert!(waiting.has_room());
    waiting.extend(&[b'.'; SENT]);
    assert!(!waiting.has_room());
    waiting.deliver(|_| 100);
    assert!(waiting.has_room());
}
