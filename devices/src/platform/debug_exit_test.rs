use super::*;

#[test]
fn a_write_of_any_size_is_an_odd_status() {
    let mut port = DebugExit;
    for (data, status) in
        [(&[0][..], 1), (&[0x10], 0x21), (&[0xff], 0xff), (&[0x80, 0xff], 1), (&[3, 0, 0, 0], 7)]
    {
        assert_eq!(port.write(0, data), Effect::Exit(status));
    }
}

#[test]
fn a_read_is_zero() {
    let mut data = [0xaa; 4];
    DebugExit.read(0, &mut data);
    assert_eq!(data, [0; 4]);
}
