use super::*;

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
