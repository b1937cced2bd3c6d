use super::*;
use crate::state::testing::{carry_over, damage};

#[test]
fn firmware_finds_it() {
    let mut data = [0; 2];
    DebugConsole::default().read(0, &mut data[..1]);
    assert_eq!(data, [0xe9, 0]);
}

#[test]
fn messages_are_lines() {
    let mut console = DebugConsole::default();
    let mut lines = |text: &[u8]| text.iter().filter_map(|&byte| console.take(byte)).collect::<Vec<_>>();
    assert_eq!(lines(b"SeaBIOS (ver"), [""; 0]);
    assert_eq!(lines(b"sion 1)\nBUILD: gcc\n\n\nno "), ["SeaBIOS (version 1)", "BUILD: gcc"]);
    assert_eq!(lines(b"\x1b[2J\n"), ["no \\x1b[2J"]);
    assert_eq!(console.write(0, b"more\n"), Effect::None);
}

#[test]
fn a_line_without_an_end_is_cut() {
    let mut console = DebugConsole::default();
    let lines: Vec<_> = (0..2 * LINE_MAX + 1).filter_map(|_| console.take(b'a')).collect();
    assert_eq!(lines, ["a".repeat(LINE_MAX), "a".repeat(LINE_MAX)]);
    assert_eq!(console.line.len(), 1);
}

#[test]
fn a_line_ends_in_the_next_machine() {
    let (mut first, mut second) = (DebugConsole::default(), DebugConsole::default());
    assert_eq!(first.write(0, b"half a "), Effect::None);
    let state = carry_over(&first, &mut second);
    assert_eq!(b"line\n".iter().find_map(|&byte| second.take(byte)).unwrap(), "half a line");
    damage(&state, DebugConsole::default, |console| {
        let _ = console.take(b'a');
        assert!(console.line.len() < LINE_MAX);
    });
}
