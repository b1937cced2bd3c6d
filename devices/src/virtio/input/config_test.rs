use proptest::prelude::*;

use super::*;

/// The result for a driver that writes both fields, one after the other as Linux does: its size, and its bytes.
fn piece(select: u8, subsel: u8) -> Vec<u8> {
    let mut at = Select::default();
    at.write(0, &[select]);
    at.write(1, &[subsel]);
    let config = at.config();
    assert_eq!(config[..2], [select, subsel]);
    let end = PAYLOAD + usize::from(config[SIZE]);
    assert!(config[3..PAYLOAD].iter().chain(&config[end..]).all(|&byte| byte == 0));
    config[PAYLOAD..end].to_vec()
}

#[test]
fn a_driver_learns_that_it_is_a_tablet() {
    assert_eq!(piece(0x01, 0), b"QEMU Virtio Tablet");
    assert_eq!(piece(0x03, 0), [6, 0, 0x27, 6, 3, 0, 2, 0]);
    // Left, right and middle are 110H to 112H.
    let mut keys = [0; 35];
    keys[34] = 0b111;
    assert_eq!(piece(0x11, 1), keys);
    // The wheel is 8, and the axes are 0 and 1.
    assert_eq!(piece(0x11, 2), [0, 1]);
    assert_eq!(piece(0x11, 3), [3]);
    for axis in [0, 1] {
        let mut info = [0; 20];
        info[4..6].copy_from_slice(&[0xff, 0x7f]);
        assert_eq!(piece(0x12, axis), info);
    }
}

/// No serial number, no properties, no lights, no other axes.
#[test]
fn missing_configuration_has_size_0() {
    for (select, subsel) in [
        (0, 0),
        (0x01, 1),
        (0x02, 0),
        (0x03, 1),
        (0x10, 0),
        (0x11, 0),
        (0x11, 4),
        (0x11, 0x11),
        (0x12, 2),
        (0x13, 0),
        (0xff, 0xff),
    ] {
        assert!(piece(select, subsel).is_empty(), "{select:#x}, {subsel}");
    }
}

#[test]
fn both_fields_can_be_written_at_once_and_no_other() {
    let mut at = Select::default();
    at.write(0, &[0x12, 1, 0xff, 0xff]);
    assert_eq!(at, Select { select: 0x12, subsel: 1 });
    at.write(2, &[0xff; 8]);
    at.write(u64::MAX, &[0xff]);
    assert_eq!(at, Select { select: 0x12, subsel: 1 });
}

proptest! {
    /// Every query gets an answer, and no answer is larger than its field.
    #[test]
    fn any_piece_can_be_asked_for(select: u8, subsel: u8) {
        prop_assert!(piece(select, subsel).len() <= MOST);
    }
}
