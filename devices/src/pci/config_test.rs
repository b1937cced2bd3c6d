use proptest::prelude::*;

use super::*;

const BAR_ADDRESS: u32 = 0xc001_0000;
const BAR_LEN: u32 = 0x8000;

fn config() -> ConfigSpace {
    let mut config = ConfigSpace::new(Identity {
        name: "test",
        vendor_id: 0x1af4,
        device_id: 0x1042,
        revision_id: 1,
        class: ClassCode { base: 1, sub: 0x80, interface: 0 },
        subsystem_vendor_id: 0x1af4,
        subsystem_id: 0x40,
    });
    config.set_bar(Bar::new(BAR_ADDRESS, BAR_LEN).unwrap());
    config.set_interrupt(17);
    config
}

fn read(config: &ConfigSpace, offset: u16) -> u32 {
    let mut data = [0; 4];
    config.read(offset, &mut data);
    u32::from_le_bytes(data)
}

fn write(config: &mut ConfigSpace, offset: u16, value: u32) -> Effect {
    config.write(offset, &value.to_le_bytes())
}

fn set_memory(config: &mut ConfigSpace, on: bool) -> Effect {
    config.write(4, &u16::from(Command::new().with_memory_space(on)).to_le_bytes())
}

#[test]
fn the_header_is_where_it_belongs() {
    let config = config();
    assert_eq!(read(&config, 0), 0x1042_1af4);
    assert_eq!(read(&config, 4), 0x0000_0002);
    assert_eq!(read(&config, 8), 0x0180_0001);
    assert_eq!(read(&config, 0xc), 0);
    assert_eq!(read(&config, 0x10), BAR_ADDRESS);
    assert_eq!(read(&config, 0x2c), 0x0040_1af4);
    assert_eq!(read(&config, 0x34), 0);
    assert_eq!(read(&config, 0x3c), 0x0000_0111);
    let mut data = [0; 4];
    config.read(0xfe, &mut data);
    assert_eq!(data, [0, 0, 0xff, 0xff], "no extended configuration space");
    config.read(0xfff, &mut data);
    assert_eq!(data, [0xff; 4]);
}

#[test]
fn a_bar_is_sized() {
    let mut config = config();
    // As Linux does: decode off, ones, read, back, decode on.
    assert_eq!(set_memory(&mut config, false), Effect::None);
    assert_eq!(write(&mut config, 0x10, u32::MAX), Effect::None);
    assert_eq!(read(&config, 0x10), !(BAR_LEN - 1));
    assert_eq!(write(&mut config, 0x10, BAR_ADDRESS), Effect::None);
    assert_eq!(set_memory(&mut config, true), Effect::None);
    for other in 1..6 {
        assert_eq!(write(&mut config, 0x10 + 4 * other, u32::MAX), Effect::None);
        assert_eq!(read(&config, 0x10 + 4 * other), 0, "no other bar");
    }
    assert_eq!(write(&mut config, 0x30, u32::MAX), Effect::None);
    assert_eq!(read(&config, 0x30), 0, "no rom");
}

#[test]
fn a_bar_moves_when_it_is_decoded_and_once_the_machine_has_moved_it() {
    let mut config = config();
    let to = 0xd000_0000;
    let remap = Remap { from: u64::from(BAR_ADDRESS), to: u64::from(to) };
    assert_eq!(set_memory(&mut config, false), Effect::None);
    assert_eq!(write(&mut config, 0x10, to), Effect::None);
    assert_eq!(set_memory(&mut config, true), Effect::Remap(remap));
    assert_eq!(set_memory(&mut config, true), Effect::Remap(remap), "not moved yet");
    config.moved(Remap { from: 1, to: 2 });
    assert_eq!(set_memory(&mut config, true), Effect::Remap(remap), "that was another");
    config.moved(remap);
    assert_eq!(set_memory(&mut config, true), Effect::None);
    assert_eq!(config.bar().unwrap().mapped(), to);
    // With decode on, as Linux moves 32-bit bars.
    let back = Remap { from: remap.to, to: remap.from };
    assert_eq!(write(&mut config, 0x10, BAR_ADDRESS), Effect::Remap(back));
    assert_eq!(config.write(0x3c, &[5]), Effect::None, "that is another register");
}

#[test]
fn a_bar_must_be_one() {
    assert_eq!(Bar::new(0, 8), None);
    assert_eq!(Bar::new(0, 24), None);
    assert_eq!(Bar::new(0x8000, 0x1_0000), None);
    assert!(Bar::new(0x8000_0000, 0x8000_0000).is_some());
}

#[test]
fn capabilities_are_linked() {
    #[repr(C)]
    #[derive(IntoBytes, Immutable)]
    struct Capability<const N: usize> {
        id: u8,
        next: u8,
        body: [u8; N],
    }
    let mut config = config();
    let first = config.add_capability(
        &Capability { id: 9, next: 0, body: [1; 3] },
        &Capability { id: 0, next: 0, body: [0, 0xf0, 0] },
    );
    let second = config.add_capability(
        &Capability { id: 0x11, next: 0, body: [2; 10] },
        &Capability { id: 0, next: 0, body: [0; 10] },
    );
    assert_eq!((first, second), (0x40, 0x48));
    assert_eq!(read(&config, 4) >> 20 & 1, 1, "status says there is a list");
    assert_eq!(read(&config, 0x34) & 0xff, 0x40);
    assert_eq!(write(&mut config, 0x40, 0), Effect::None);
    assert_eq!(read(&config, 0x40), 0x0101_4809);
    assert_eq!(config.write(0x43, &[0xff]), Effect::None);
    assert_eq!(read(&config, 0x40), 0xf101_4809);
    assert_eq!(read(&config, 0x48), 0x0202_0011);
}

#[test]
fn the_interrupt_bit_is_not_the_guests() {
    let mut config = config();
    config.set_interrupt_status(true);
    assert_eq!(write(&mut config, 4, 0xffff_0002), Effect::None);
    assert_eq!(read(&config, 4), 0x0008_0002);
    config.set_interrupt_status(false);
    assert_eq!(read(&config, 4), 0x0000_0002);
}

proptest! {
    #[test]
    fn only_writable_bits_change(
        writes in prop::collection::vec((0_u16..0x1000, prop::collection::vec(any::<u8>(), 0..16)), 0..40),
    ) {
        let mut config = config();
        let before = config.bytes;
        for (offset, data) in writes {
            match config.write(offset, &data) {
                Effect::Remap(remap) => {
                    prop_assert!(config.command().memory_space());
                    prop_assert_eq!(remap.to % u64::from(BAR_LEN), 0);
                    config.moved(remap);
                    prop_assert_eq!(u64::from(config.bar().unwrap().mapped()), remap.to);
                }
                effect => prop_assert_eq!(effect, Effect::None),
            }
        }
        for (index, (old, new)) in before.iter().zip(config.bytes).enumerate() {
            prop_assert_eq!((old ^ new) & !config.writable[index], 0, "byte {:#x}", index);
        }
        prop_assert_eq!(config.identity().device_id, 0x1042);
        if config.command().memory_space() {
            prop_assert_eq!(config.bar().unwrap().mapped().to_le_bytes(), config.get::<4>(0x10));
        }
    }
}
