use super::*;

const A: Key = Key(0x1e);
const SPACE: Key = Key(0x39);
const PAUSE: Key = Key(0xc6);

fn all(keyboard: &mut Keyboard) -> Vec<u8> {
    std::iter::from_fn(|| keyboard.next()).collect()
}

/// Sends bytes, and returns all of the keyboard's answers.
fn answers(keyboard: &mut Keyboard, bytes: &[u8]) -> Vec<u8> {
    let answers = bytes.iter().map(|&byte| {
        keyboard.write(byte);
        all(keyboard)
    });
    answers.collect::<Vec<_>>().concat()
}

#[test]
fn each_command_is_answered() {
    let mut keyboard = Keyboard::default();
    for (sent, answer) in [
        (&[0xed, 0b101][..], &[0xfa, 0xfa][..]),
        (&[0xee], &[0xee]),
        (&[0xf0, 0], &[0xfa, 0xfa, 2]),
        (&[0xf0, 1], &[0xfa, 0xfa]),
        (&[0xf0, 0], &[0xfa, 0xfa, 1]),
        (&[0xf0, 3], &[0xfa, 0xfa]),
        (&[0xf0, 0], &[0xfa, 0xfa, 3]),
        // There is no set 4; set 3 is kept.
        (&[0xf0, 4], &[0xfa, 0xfe]),
        (&[0xf0, 0], &[0xfa, 0xfa, 3]),
        (&[0xf2], &[0xfa, 0xab, 0x83]),
        (&[0xf3, 0x20], &[0xfa, 0xfa]),
        (&[0xf4], &[0xfa]),
        (&[0xfa], &[0xfa]),
        (&[0xf5], &[0xfa]),
        (&[0xf6], &[0xfa]),
        (&[0xf0, 0], &[0xfa, 0xfa, 2]),
        (&[0xff], &[0xfa, 0xaa]),
        // Unknown commands, and those of keyboards with more lights.
        (&[0x00], &[0xfe]),
        (&[0xec], &[0xfe]),
        (&[0xea], &[0xfe]),
        (&[0xfb], &[0xfe]),
        // A command in place of a parameter is executed as a command.
        (&[0xed, 0xf2], &[0xfa, 0xfa, 0xab, 0x83]),
        (&[0xee], &[0xee]),
    ] {
        assert_eq!(answers(&mut keyboard, sent), answer, "{sent:x?}");
    }
}

#[test]
fn the_last_byte_is_sent_again() {
    let mut keyboard = Keyboard::default();
    keyboard.key(A, true);
    assert_eq!(keyboard.next(), Some(0x1c));
    assert_eq!(answers(&mut keyboard, &[0xfe, 0xfe]), [0x1c, 0x1c]);
    assert_eq!(answers(&mut keyboard, &[0xf2, 0xfe]), [0xfa, 0xab, 0x83, 0x83]);
}

#[test]
fn lights_are_kept_until_the_defaults_are_set() {
    let mut keyboard = Keyboard::default();
    answers(&mut keyboard, &[0xed, 0xeb]);
    assert_eq!(keyboard.leds(), 0b011);
    answers(&mut keyboard, &[0xf6]);
    assert_eq!(keyboard.leds(), 0);
}

#[test]
fn an_answer_goes_before_keys_and_replaces_the_one_before() {
    let mut keyboard = Keyboard::default();
    keyboard.key(A, true);
    keyboard.write(0xf2);
    keyboard.write(0xed);
    assert_eq!(all(&mut keyboard), [0xfa, 0x1c]);
}

#[test]
fn a_pressed_key_repeats_by_being_pressed_again() {
    let mut keyboard = Keyboard::default();
    keyboard.key(A, true);
    keyboard.key(A, true);
    keyboard.key(A, false);
    // It has not been pressed since.
    keyboard.key(A, false);
    assert_eq!(all(&mut keyboard), [0x1c, 0x1c, 0xf0, 0x1c]);
}

#[test]
fn the_fifo_is_bounded_and_reports_lost_keys_once() {
    let mut keyboard = Keyboard::default();
    for _ in 0..100 {
        keyboard.key(A, true);
    }
    let mut expected = vec![0x1c; 16];
    expected.push(0);
    assert_eq!(all(&mut keyboard), expected);
    // A key of several bytes goes in whole, or not at all.
    for _ in 0..3 {
        keyboard.key(PAUSE, true);
    }
    assert_eq!(all(&mut keyboard)[13..], [0x14, 0xf0, 0x77, 0]);
    answers(&mut keyboard, &[0xf0, 1]);
    for _ in 0..17 {
        keyboard.key(A, true);
    }
    assert_eq!(all(&mut keyboard)[15..], [0x1e, 0xff]);
}

#[test]
fn a_release_is_late_but_not_lost() {
    let mut keyboard = Keyboard::default();
    for _ in 0..16 {
        keyboard.key(SPACE, true);
    }
    keyboard.key(SPACE, false);
    // It comes before keys that are pressed later.
    keyboard.key(A, true);
    keyboard.key(A, false);
    let mut expected = vec![0x29; 16];
    expected.extend([0, 0xf0, 0x29]);
    assert_eq!(all(&mut keyboard), expected);
    keyboard.key(A, true);
    assert_eq!(all(&mut keyboard), [0x1c]);
}

#[test]
fn a_disabled_keyboard_reports_no_keys() {
    let mut keyboard = Keyboard::default();
    keyboard.key(SPACE, true);
    keyboard.key(A, true);
    // Waiting bytes are dropped.
    assert_eq!(answers(&mut keyboard, &[0xf5]), [0xfa]);
    keyboard.key(A, false);
    keyboard.key(Key(0x30), true);
    assert_eq!(answers(&mut keyboard, &[0xf4]), [0xfa]);
    keyboard.key(Key(0x30), false);
    keyboard.key(SPACE, false);
    assert_eq!(all(&mut keyboard), [0xf0, 0x29]);
}
