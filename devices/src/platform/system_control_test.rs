use super::*;
use crate::state::testing::carry_over;

fn read(port: &mut SystemControlA) -> u8 {
    let mut data = [0xaa];
    port.read(0, &mut data);
    data[0]
}

#[test]
fn a_rise_of_init_resets() {
    let mut port = SystemControlA::default();
    assert_eq!(port.write(0, &[0b11]), Effect::Reset);
    assert_eq!(read(&mut port), 0b11);
    assert_eq!(port.write(0, &[0b01]), Effect::None, "it was high already");
    assert_eq!(port.write(0, &[0b10]), Effect::None);
    assert_eq!(read(&mut port), 0b10);
    assert_eq!(port.write(0, &[0xff]), Effect::Reset);
}

#[test]
fn address_line_20_is_on_whatever_is_written() {
    let mut port = SystemControlA::default();
    assert_eq!(read(&mut port), 0b10);
    for value in [0b00, 0b10, 0xfc, 0xfe] {
        assert_eq!(port.write(0, &[value]), Effect::None);
        assert_eq!(read(&mut port), 0b10, "{value:#x}");
    }
}

#[test]
fn only_a_rise_resets_after_a_snapshot_as_before() {
    let (mut first, mut second) = (SystemControlA::default(), SystemControlA::default());
    assert_eq!(first.write(0, &[1]), Effect::Reset);
    carry_over(&first, &mut second);
    let mut byte = [0];
    second.read(0, &mut byte);
    assert_eq!(byte, [3]);
    assert_eq!(second.write(0, &[3]), Effect::None);
    assert_eq!(second.write(0, &[0]), Effect::None);
    assert_eq!(second.write(0, &[1]), Effect::Reset);
}
