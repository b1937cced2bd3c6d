use std::{io::Read, os::unix::net::UnixStream};

use super::*;

const EVENT: &str = "{\"event\": \"RESUME\"}\r\n";

#[test]
fn events_are_dropped_for_a_client_that_does_not_read_and_answers_are_not() {
    let (mut theirs, ours) = UnixStream::pair().unwrap();
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    let mut taken = 0;
    while outbox.has_room() {
        assert!(!outbox.event(EVENT, now));
        taken += EVENT.len();
    }
    assert_eq!(outbox.gives_up_at(), None, "nothing is lost");
    assert!(outbox.event(EVENT, now), "the first that is dropped is told of");
    assert!(!outbox.event(EVENT, now + PATIENCE / 2));
    assert_eq!(outbox.gives_up_at(), Some(now + PATIENCE));
    outbox.answer("answer\r\n");
    taken += "answer\r\n".len();
    assert_eq!(outbox.bytes.len(), taken);

    // It reads again.
    theirs.set_nonblocking(true).unwrap();
    let mut text = Vec::new();
    while !outbox.is_empty() {
        outbox.send(&ours).unwrap();
        let _ = theirs.read_to_end(&mut text);
    }
    assert_eq!(outbox.gives_up_at(), None);
    assert_eq!(text.len(), taken);
    assert!(text.ends_with(b"answer\r\n"));
    assert!(!outbox.event(EVENT, now) && !outbox.is_empty());

    drop(theirs);
    outbox.send(&ours).unwrap_err();
}
