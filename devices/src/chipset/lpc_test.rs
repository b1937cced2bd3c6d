use super::*;
use crate::bus::Effect;

fn read(lpc: &mut Lpc, register: u16) -> u32 {
    let mut data = [0; 4];
    lpc.config_read(register, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn firmware_knows_the_chipset_by_it() {
    let mut lpc = Lpc::new();
    assert_eq!(read(&mut lpc, 0), 0x2918_8086);
    assert_eq!(read(&mut lpc, 8), 0x0601_0002);
    assert_eq!(read(&mut lpc, 0x0c), 0, "one function, of the plain header type");
    assert_eq!(Lpc::ADDRESS.to_string(), "00:1f.0");
}

/// Without it OVMF has no console on COM1.
#[test]
fn the_bridge_is_always_enabled() {
    let mut lpc = Lpc::new();
    for written in [0_u16, 0xffff] {
        assert_eq!(read(&mut lpc, 4) & 0xffff, 7);
        assert_eq!(lpc.config_write(4, &written.to_le_bytes()), Effect::None);
    }
    assert_eq!(read(&mut lpc, 4) & 0xffff, 7);
}

/// OVMF and SeaBIOS read these back, and assume the ports that they have set.
#[test]
fn registers_keep_what_firmware_writes() {
    let mut lpc = Lpc::new();
    assert_eq!((read(&mut lpc, 0x40), read(&mut lpc, 0x60)), (1, 0x8080_8080));
    for (register, written, kept) in [
        (0x40, 0x0601, 0x0601),
        (0x40, u32::MAX, 0xff81),
        (0x44, 0x80, 0x80),
        (0x60, 0x0b0b_0a0a, 0x0b0b_0a0a),
        (0x68, u32::MAX, 0x8f8f_8f8f),
        (0xf0, 0xfed1_c001, 0xfed1_c001),
        (0x50, u32::MAX, 0),
    ] {
        assert_eq!(lpc.config_write(register, &written.to_le_bytes()), Effect::None);
        assert_eq!(read(&mut lpc, register), kept, "{register:#x}");
    }
}
