use proptest::prelude::*;

use super::*;

const BAR_ADDRESS: u32 = 0xc001_0000;
const BAR_LEN: u32 = 0x8000;
/// The address of the 64-bit BAR of [`wide`], its size, and the address of its I/O BAR.
const WIDE: u64 = 0x12_0000_0000;
const WIDE_LEN: u64 = 1 << 33;
const IO: u32 = 0xc100;

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
    config.add_bar(Bar::new(0, BarSpace::Memory32, BAR_LEN.into()).unwrap()).unwrap();
    place(&mut config).unwrap();
    config.set_interrupt(1, 17);
    config
}

/// A function with a BAR of each kind: 32-bit in register 0, I/O in 1, 64-bit and prefetchable in 2 and 3.
fn wide() -> ConfigSpace {
    let mut config = config();
    config.add_bar(Bar::new(1, BarSpace::Io, 0x20).unwrap()).unwrap();
    config.add_bar(Bar::new(2, BarSpace::Memory64, WIDE_LEN).unwrap().prefetchable()).unwrap();
    place(&mut config).unwrap();
    config
}

/// Sets BARs by their register.
fn place(config: &mut ConfigSpace) -> Result<(), BarError> {
    config.place_bars(|bar| Ok([BAR_ADDRESS.into(), IO.into(), WIDE][usize::from(bar.index())]))
}

fn decoded(config: &ConfigSpace) -> Vec<(u8, u64)> {
    config.decoded().map(|decoded| (decoded.bar.index(), decoded.base)).collect()
}

fn read(config: &ConfigSpace, offset: u16) -> u32 {
    let mut data = [0; 4];
    config.read(offset, &mut data);
    u32::from_le_bytes(data)
}

fn write(config: &mut ConfigSpace, offset: u16, value: u32) -> Effect {
    config.write(offset, &value.to_le_bytes())
}

fn set_command(config: &mut ConfigSpace, io: bool, memory: bool) -> Effect {
    let command = Command::new().with_io_space(io).with_memory_space(memory);
    config.write(4, &u16::from(command).to_le_bytes())
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
    // Linux's order: decode off, ones, read, back, decode on.
    assert_eq!(set_command(&mut config, false, false), Effect::Decode);
    assert_eq!(write(&mut config, 0x10, u32::MAX), Effect::None);
    assert_eq!(read(&config, 0x10), !(BAR_LEN - 1));
    assert_eq!(write(&mut config, 0x10, BAR_ADDRESS), Effect::None);
    assert_eq!(set_command(&mut config, false, true), Effect::Decode);
    for other in 1..6 {
        assert_eq!(write(&mut config, 0x10 + 4 * other, u32::MAX), Effect::None);
        assert_eq!(read(&config, 0x10 + 4 * other), 0, "no other bar");
    }
    assert_eq!(write(&mut config, 0x30, u32::MAX), Effect::None);
    assert_eq!(read(&config, 0x30), 0, "no rom");
}

#[test]
fn each_kind_of_bar_is_sized() {
    let mut config = wide();
    assert_eq!(read(&config, 4) & 3, 3, "both spaces decode");
    assert_eq!([0x14, 0x18, 0x1c, 0x20].map(|at| read(&config, at)), [IO | 1, 0xc, 0x12, 0]);
    assert_eq!(set_command(&mut config, false, false), Effect::Decode);
    for at in [0x10, 0x14, 0x18, 0x1c, 0x20] {
        assert_eq!(write(&mut config, at, u32::MAX), Effect::None);
    }
    assert_eq!(
        [0x10, 0x14, 0x18, 0x1c, 0x20].map(|at| read(&config, at)),
        [0xffff_8000, 0xffff_ffe1, 0xc, 0xffff_fffe, 0]
    );
    for at in [0x10, 0x14, 0x18, 0x1c] {
        assert_eq!(write(&mut config, at, 0), Effect::None);
    }
    assert_eq!([0x10, 0x14, 0x18, 0x1c].map(|at| read(&config, at)), [0, 1, 0xc, 0]);
}

#[test]
fn the_command_register_decides_what_decodes() {
    let mut config = wide();
    let (memory, io, memory64) = ((0, u64::from(BAR_ADDRESS)), (1, u64::from(IO)), (2, WIDE));
    assert_eq!(decoded(&config), [memory, io, memory64]);
    assert_eq!(set_command(&mut config, false, true), Effect::Decode);
    assert_eq!(decoded(&config), [memory, memory64]);
    assert_eq!(set_command(&mut config, true, false), Effect::Decode);
    assert_eq!(decoded(&config), [io]);
    assert_eq!(set_command(&mut config, true, false), Effect::None, "nothing changed");
    assert_eq!(set_command(&mut config, false, false), Effect::Decode);
    assert_eq!(decoded(&config), []);
    let all: Vec<_> = config.bars().map(|decoded| decoded.base).collect();
    assert_eq!(all, [memory.1, io.1, memory64.1], "they are still where they were");
}

#[test]
fn a_bar_moves_with_its_register() {
    let mut config = wide();
    assert_eq!(write(&mut config, 0x10, 0xd000_0000), Effect::Decode, "as Linux moves 32-bit bars");
    assert_eq!(write(&mut config, 0x10, 0xd000_0fff), Effect::None, "the low bits are fixed");
    assert_eq!(config.write(0x13, &[0xd1]), Effect::Decode, "one byte of it");
    assert_eq!(write(&mut config, 0x1c, 0x16), Effect::Decode, "the upper half");
    assert_eq!(write(&mut config, 0x14, 0xc200), Effect::Decode);
    assert_eq!(decoded(&config), [(0, 0xd100_0000), (1, 0xc200), (2, 0x16_0000_0000)]);
    assert_eq!(write(&mut config, 0x14, 0x1_0000), Effect::Decode, "no such port");
    assert_eq!(decoded(&config).len(), 2);
    assert_eq!(config.write(0x3c, &[5]), Effect::None, "that is another register");
    assert_eq!(set_command(&mut config, false, false), Effect::Decode);
    assert_eq!(write(&mut config, 0x10, 0xd000_0000), Effect::None, "not decoded");
}

#[test]
fn registers_are_taken_once() {
    let mut config = wide();
    let bar = |index, space| Bar::new(index, space, 0x100).unwrap();
    for (index, space) in [
        (0, BarSpace::Memory32),
        (0, BarSpace::Memory64),
        (1, BarSpace::Memory64),
        (2, BarSpace::Io),
        (3, BarSpace::Memory32),
    ] {
        assert_eq!(config.add_bar(bar(index, space)), Err(BarError::Register { space, index }));
    }
    config.add_bar(bar(4, BarSpace::Memory64)).unwrap();
}

#[test]
fn bars_decode_once_they_are_placed() {
    let mut config = ConfigSpace::new(config().identity());
    let (space, size) = (BarSpace::Memory32, 0x100);
    config.add_bar(Bar::new(0, BarSpace::Io, 4).unwrap()).unwrap();
    config.add_bar(Bar::new(4, space, size).unwrap()).unwrap();
    assert_eq!(decoded(&config), []);
    for address in [0x80, 0x1_0000_0000] {
        let placed = config.place_bars(|bar| Ok(if bar.index() == 4 { address } else { 0xc000 }));
        assert_eq!(placed, Err(BarError::Address { space, size, address }));
    }
    config.place_bars(|bar| Ok::<_, BarError>(0xc000 + u64::from(bar.index()) * 0x100)).unwrap();
    assert_eq!(decoded(&config), [(0, 0xc000), (4, 0xc400)]);
    assert_eq!([0x10, 0x20].map(|at| read(&config, at)), [0xc001, 0xc400]);
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
        let mut config = wide();
        let before = config.bytes;
        for (offset, data) in writes {
            let decoding = decoded(&config);
            let changed = match config.write(offset, &data) {
                Effect::Decode => true,
                effect => {
                    prop_assert_eq!(effect, Effect::None);
                    false
                }
            };
            prop_assert_eq!(changed, decoding != decoded(&config));
        }
        for (index, (old, new)) in before.iter().zip(config.bytes).enumerate() {
            prop_assert_eq!((old ^ new) & !config.writable[index], 0, "byte {:#x}", index);
        }
        prop_assert_eq!(config.identity().device_id, 0x1042);
        for Decoded { bar, base } in config.decoded() {
            prop_assert!(base.is_multiple_of(bar.size()));
            prop_assert!(base.checked_add(bar.size() - 1).is_some());
        }
    }
}

#[test]
fn ports_without_a_bar_are_switched_by_the_command_register() {
    let mut config = ConfigSpace::new(config().identity());
    assert_eq!(config.write(4, &[1, 0]), Effect::None);
    assert!(!config.command().io_space(), "it has none");
    config.add_fixed_ports();
    assert_eq!(config.write(4, &[1, 0]), Effect::None, "no BAR decodes by that");
    assert!(config.command().io_space());
    assert_eq!(config.write(4, &[0, 0]), Effect::None);
    config.place_bars(|_| Ok::<_, BarError>(0)).unwrap();
    assert!(config.command().io_space());
}
