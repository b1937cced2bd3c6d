use super::*;

fn read(offset: u64, len: usize) -> Vec<u8> {
    let mut data = vec![0xaa; len];
    ResetOnlyI8042.read(offset, &mut data);
    data
}

#[test]
fn the_reset_command_resets_and_nothing_else_does() {
    assert_eq!(ResetOnlyI8042.write(4, &[0xfe]), Effect::Reset);
    assert_eq!(ResetOnlyI8042.write(0, &[0xfe]), Effect::None, "data, not a command");
    assert_eq!(ResetOnlyI8042.write(2, &[0xfe]), Effect::None);
    assert_eq!(ResetOnlyI8042.write(3, &[0xfe, 0xfe]), Effect::None);
    for command in 0..0xfe {
        assert_eq!(ResetOnlyI8042.write(4, &[command]), Effect::None);
    }
}

#[test]
fn status_is_ready_and_empty_and_has_no_device() {
    assert_eq!(read(4, 1), [0xc0]);
    assert_eq!(read(0, 1), [0]);
    assert_eq!(read(1, 1), [0xff]);
    assert_eq!(read(0, 4), [0xff; 4]);
}
