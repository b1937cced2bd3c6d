use std::collections::BTreeSet;

use super::*;

const NOTHING: Held = Held { shift: false, ctrl: false, alt: false };

fn make(set: CodeSet, key: u8) -> Vec<u8> {
    set.codes(Key(key), NOTHING).map_or_else(Vec::new, |codes| codes.make)
}

fn translated(bytes: &[u8]) -> Vec<u8> {
    let mut translator = Translator::default();
    bytes.iter().filter_map(|&byte| translator.next(byte)).collect()
}

#[test]
fn well_known_keys_have_their_codes_in_each_set() {
    // Esc, A, Enter, left Shift, space, F1, F7, F11, F12, keypad 5; and those with a prefix: Enter, right Ctrl, /, right Alt, Home,
    // up, left, right, down, Delete, the left logo key.
    for (key, set_2, set_3) in [
        (0x01, &[0x76][..], 0x08),
        (0x1e, &[0x1c], 0x1c),
        (0x1c, &[0x5a], 0x5a),
        (0x2a, &[0x12], 0x12),
        (0x39, &[0x29], 0x29),
        (0x3b, &[0x05], 0x07),
        (0x41, &[0x83], 0x37),
        (0x57, &[0x78], 0x56),
        (0x58, &[0x07], 0x5e),
        (0x4c, &[0x73], 0x73),
        (0x9c, &[0xe0, 0x5a], 0x79),
        (0x9d, &[0xe0, 0x14], 0x58),
        (0xb5, &[0xe0, 0x4a], 0x77),
        (0xb8, &[0xe0, 0x11], 0x39),
        (0xc7, &[0xe0, 0x6c], 0x6e),
        (0xc8, &[0xe0, 0x75], 0x63),
        (0xcb, &[0xe0, 0x6b], 0x61),
        (0xcd, &[0xe0, 0x74], 0x6a),
        (0xd0, &[0xe0, 0x72], 0x60),
        (0xd3, &[0xe0, 0x71], 0x64),
        (0xdb, &[0xe0, 0x1f], 0x8b),
    ] {
        assert_eq!(make(CodeSet::Two, key), set_2, "{key:#x}");
        assert_eq!(make(CodeSet::Three, key), [set_3], "{key:#x}");
        let set_1 = if key < 0x80 { vec![key] } else { vec![0xe0, key & 0x7f] };
        assert_eq!(make(CodeSet::One, key), set_1);
    }
}

#[test]
fn set_2_translated_is_set_1() {
    for key in 0..=0xff {
        for held in [
            NOTHING,
            Held { shift: true, ..NOTHING },
            Held { ctrl: true, ..NOTHING },
            Held { alt: true, ..NOTHING },
        ] {
            let [one, two] = [CodeSet::One, CodeSet::Two].map(|set| set.codes(Key(key), held));
            let back = two.map(|Codes { make, release }| Codes {
                make: translated(&make),
                release: translated(&release),
            });
            assert_eq!(back, one, "{key:#x}");
        }
    }
}

#[test]
fn only_the_id_among_answers_is_translated() {
    assert_eq!(translated(&[0xfa, 0xfe, 0xee, 0xaa]), [0xfa, 0xfe, 0xee, 0xaa]);
    // The id of an MF2 keyboard, the numbers of the sets, and the byte for lost keys.
    assert_eq!(translated(&[0xab, 0x83, 1, 2, 3, 0]), [0xab, 0x41, 0x43, 0x41, 0x3f, 0xff]);
}

#[test]
fn no_two_keys_of_set_3_have_one_code() {
    assert!(SET_3.is_sorted(), "it is searched");
    // Print has two numbers.
    let keys: Vec<_> =
        (0..=0xff).filter(|&key| key != PRINT.0 && !make(CodeSet::Three, key).is_empty()).collect();
    let codes: BTreeSet<_> = keys.iter().map(|&key| make(CodeSet::Three, key)).collect();
    // RO and YEN share their numbers with no other key; backslash is where the US layout has it.
    let shared = keys.len() - codes.len();
    assert_eq!(shared, 0, "{keys:x?}");
    assert!(keys.len() > 100);
}

#[test]
fn print_and_pause_depend_on_the_keys_that_are_held() {
    let codes = |key, held| {
        let Codes { make, release } = CodeSet::Two.codes(key, held).unwrap();
        (make, release)
    };
    for key in [PRINT, SYSTEM_REQUEST] {
        let alone = (vec![0xe0, 0x12, 0xe0, 0x7c], vec![0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12]);
        assert_eq!(codes(key, NOTHING), alone);
        let with_shift = (vec![0xe0, 0x7c], vec![0xe0, 0xf0, 0x7c]);
        assert_eq!(codes(key, Held { shift: true, ..NOTHING }), with_shift);
        assert_eq!(codes(key, Held { ctrl: true, ..NOTHING }), with_shift);
        assert_eq!(codes(key, Held { alt: true, ..NOTHING }), (vec![0x84], vec![0xf0, 0x84]));
    }
    let pause = (vec![0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77], vec![]);
    assert_eq!(codes(PAUSE, NOTHING), pause);
    let break_key = (vec![0xe0, 0x7e, 0xe0, 0xf0, 0x7e], vec![]);
    assert_eq!(codes(PAUSE, Held { ctrl: true, ..NOTHING }), break_key);
}

#[test]
fn there_is_no_key_0() {
    for set in [CodeSet::One, CodeSet::Two, CodeSet::Three] {
        assert_eq!([0, 0x80].map(|key| set.codes(Key(key), NOTHING)), [None, None]);
    }
}
