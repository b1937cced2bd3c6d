use super::*;

use BarSpace::{Io, Memory32, Memory64};

#[test]
fn sizes_are_those_of_the_space() {
    for (space, size) in
        [(Memory32, 16), (Memory32, 1 << 31), (Memory64, 16), (Memory64, 1 << 40), (Io, 4), (Io, 256)]
    {
        assert_eq!(Bar::new(0, space, size).unwrap().size(), size);
    }
    for (space, size) in
        [(Memory32, 0), (Memory32, 8), (Memory32, 24), (Memory32, 1 << 32), (Memory64, 8), (Io, 2), (Io, 512)]
    {
        assert_eq!(Bar::new(0, space, size), Err(BarError::Size { space, size }));
    }
}

#[test]
fn a_64_bit_bar_takes_two_of_six_registers() {
    assert!(Bar::new(5, Memory32, 16).is_ok());
    assert!(Bar::new(4, Memory64, 16).is_ok());
    for (index, space) in [(5, Memory64), (6, Memory32), (6, Io), (255, Memory64)] {
        assert_eq!(Bar::new(index, space, 16), Err(BarError::Register { space, index }));
    }
}

#[test]
fn an_address_is_a_multiple_of_the_size_in_the_space() {
    let can_be_at = |space, size, address| Bar::new(0, space, size).unwrap().can_be_at(address);
    assert!(can_be_at(Memory32, 0x1000, 0xffff_f000) && !can_be_at(Memory32, 0x1000, 0x1_0000_0000));
    assert!(can_be_at(Memory64, 0x1000, 0xffff_ffff_ffff_f000) && !can_be_at(Memory64, 0x1000, 0x800));
    assert!(can_be_at(Io, 0x100, 0xff00) && !can_be_at(Io, 0x100, 0x1_0000));
}

#[test]
fn the_low_bits_tell_the_kind() {
    let bits = |bar: Bar| bar.kind_bits();
    assert_eq!(bits(Bar::new(0, Memory32, 16).unwrap()), 0);
    assert_eq!(bits(Bar::new(0, Memory32, 16).unwrap().prefetchable()), 0b1000);
    assert_eq!(bits(Bar::new(0, Memory64, 16).unwrap().prefetchable()), 0b1100);
    assert_eq!(bits(Bar::new(0, Io, 4).unwrap()), 1);
}
