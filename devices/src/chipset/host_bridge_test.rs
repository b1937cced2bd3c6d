use proptest::prelude::*;

use super::*;

fn write(bridge: &mut HostBridge, register: u16, value: u32) -> Effect {
    bridge.config_write(register, &value.to_le_bytes())
}

fn read(bridge: &mut HostBridge, register: u16) -> u32 {
    let mut data = [0; 4];
    bridge.config_read(register, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn firmware_knows_the_machine_by_it() {
    let mut bridge = HostBridge::new();
    assert_eq!(read(&mut bridge, 0), 0x29c0_8086);
    assert_eq!(read(&mut bridge, 8), 0x0600_0000);
    assert_eq!(read(&mut bridge, 0x2c), 0x1100_1af4);
}

/// The order of SeaBIOS's and OVMF's writes: off, then the upper half, then the lower half with the enable bit.
#[test]
fn ecam_goes_where_firmware_puts_it() {
    for base in [0xb000_0000, 0xe000_0000_u32] {
        let mut bridge = HostBridge::new();
        assert_eq!(bridge.ecam(), None);
        assert_eq!(write(&mut bridge, 0x60, 0), Effect::None);
        assert_eq!(write(&mut bridge, 0x64, 0), Effect::None);
        assert_eq!(write(&mut bridge, 0x60, base | 1), Effect::Decode);
        assert_eq!(bridge.ecam(), Some(u64::from(base)..u64::from(base) + (256 << 20)));
        assert_eq!(read(&mut bridge, 0x60), base | 1, "it is kept");
        assert_eq!(write(&mut bridge, 0x60, base | 1), Effect::None, "the same again");
        assert_eq!(write(&mut bridge, 0x60, base), Effect::Decode);
        assert_eq!(bridge.ecam(), None);
    }
}

#[test]
fn ecam_has_three_lengths() {
    let mut bridge = HostBridge::new();
    for (length, expected) in
        [(0, 0xf000_0000..0x1_0000_0000), (1, 0xf800_0000..0x1_0000_0000), (2, 0xfc00_0000..0x1_0000_0000)]
    {
        let _ = write(&mut bridge, 0x60, 0xfc00_0001 | length << 1);
        assert_eq!(bridge.ecam(), Some(expected));
    }
    assert_eq!(write(&mut bridge, 0x60, 0xfc00_0007), Effect::Decode);
    assert_eq!(bridge.ecam(), None, "reserved");
    assert_eq!(write(&mut bridge, 0x64, u32::MAX), Effect::None);
    assert_eq!(write(&mut bridge, 0x60, 0xb000_0001), Effect::Decode);
    assert_eq!(bridge.ecam(), Some(0xf_b000_0000..0xf_c000_0000), "36 bits of address");
}

/// SeaBIOS doesn't copy the BIOS as long as PAM0 reads back as written.
#[test]
fn memory_attributes_read_as_written() {
    let mut bridge = HostBridge::new();
    assert_eq!(bridge.config_write(0x90, &[0x30, 0x33, 0x33]), Effect::None);
    assert_eq!(bridge.config_write(0x93, &[0xff; 4]), Effect::None);
    let mut map = [0; 7];
    bridge.config_read(0x90, &mut map);
    assert_eq!(map, [0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]);
    assert_eq!(bridge.config_write(0x9d, &[0xff]), Effect::None);
    assert_eq!(read(&mut bridge, 0x9c), 0x7a00);
}

proptest! {
    #[test]
    fn no_write_is_too_odd(writes in prop::collection::vec((any::<u16>(), any::<u64>(), 0_usize..=8), 0..40)) {
        let mut bridge = HostBridge::new();
        for (register, value, len) in writes {
            for register in [register, 0x60 + register % 8] {
                let before = bridge.ecam();
                let effect = bridge.config_write(register, &value.to_le_bytes()[..len]);
                prop_assert_eq!(effect, if bridge.ecam() == before { Effect::None } else { Effect::Decode });
            }
        }
        prop_assert_eq!(read(&mut bridge, 0), 0x29c0_8086);
    }
}
