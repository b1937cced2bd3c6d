use super::*;

fn feed(typed: &[u8]) -> (Vec<u8>, Vec<Key>) {
    let (mut escapes, mut guest) = (Escapes::default(), Vec::new());
    let keys = typed.iter().filter_map(|&byte| escapes.feed(byte, &mut guest)).collect();
    (guest, keys)
}

#[test]
fn only_known_sequences_are_taken_from_the_guest() {
    assert_eq!(feed(b"ls\r"), (b"ls\r".to_vec(), vec![]));
    assert_eq!(feed(b"x\x01xy"), (b"xy".to_vec(), vec![Key::Quit]));
    assert_eq!(feed(b"\x01p\x01P"), (vec![], vec![Key::Pause, Key::Pause]));
    assert_eq!(feed(b"\x01h\x01?"), (vec![], vec![Key::Help, Key::Help]));
    assert_eq!(feed(b"\x01a\x01\x01x"), (b"\x01\x01x".to_vec(), vec![]));
    assert_eq!(feed(b"\x01z"), (b"\x01z".to_vec(), vec![]));
}
