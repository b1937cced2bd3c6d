use std::collections::BTreeSet;

use super::*;

#[test]
fn every_character_of_ascii_has_a_key_and_no_two_share_one() {
    let all: Vec<_> = (0x20..0x7f).map(|keysym| typed(keysym).unwrap()).collect();
    let ways: BTreeSet<_> = all
        .iter()
        .map(|typed| match *typed {
            Typed::Key(key) => (key, None),
            Typed::Shifted(key, shift) | Typed::Letter(key, shift) => (key, Some(shift)),
        })
        .collect();
    assert_eq!(ways.len(), 95);
    assert_eq!(ways.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len(), 48);
}

#[test]
fn keys_are_where_a_keyboard_has_them() {
    for (keysym, expected) in [
        (u32::from(b'a'), Typed::Letter(Key(0x1e), false)),
        (u32::from(b'A'), Typed::Letter(Key(0x1e), true)),
        (u32::from(b'm'), Typed::Letter(Key(0x32), false)),
        (u32::from(b'0'), Typed::Shifted(Key(0x0b), false)),
        (u32::from(b'!'), Typed::Shifted(Key(0x02), true)),
        (u32::from(b'~'), Typed::Shifted(Key(0x29), true)),
        (u32::from(b'\\'), Typed::Shifted(Key(0x2b), false)),
        (u32::from(b'/'), Typed::Shifted(Key(0x35), false)),
        (u32::from(b' '), Typed::Key(Key(0x39))),
        (0xff08, Typed::Key(Key(0x0e))),
        (0xff0d, Typed::Key(Key(0x1c))),
        (0xff57, Typed::Key(Key(0xcf))),
        (0xffc9, Typed::Key(Key(0x58))),
        (0xff9f, Typed::Key(Key(0x53))),
        (0xffb9, Typed::Key(Key(0x49))),
        (0xffe5, Typed::Key(CAPS_LOCK)),
        (0xffea, Typed::Key(Key(0xb8))),
        (0xffff, Typed::Key(Key(0xd3))),
    ] {
        assert_eq!(typed(keysym), Some(expected), "{keysym:#x}");
    }
    for keysym in [0, 0x1f, 0x7f, 0xe4, 0x20ac, 0xfe03, 0xff00, 0xff14 + 2, 0xffca, 0x1000_0000, u32::MAX] {
        assert_eq!(typed(keysym), None, "{keysym:#x}");
    }
}
