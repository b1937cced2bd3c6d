use super::*;

use BarSpace::{Io, Memory32, Memory64};

const WINDOW: Range<u64> = 64 << 30..128 << 30;

fn bar(space: BarSpace, size: u64) -> Bar {
    Bar::new(0, space, size).unwrap()
}

#[test]
fn bars_go_by_size_to_the_window_of_their_space() {
    let mut windows = Windows::new(Some(&WINDOW)).unwrap();
    let mut place = |bar| windows.place(bar).unwrap();
    assert_eq!(place(bar(Memory32, 0x8000)), 0xc000_0000);
    assert_eq!(place(bar(Memory32, 16 << 20)), 0xc100_0000, "at a multiple of its size");
    assert_eq!(place(bar(Memory32, 0x8000)), 0xc000_8000, "in the gap");
    assert_eq!(place(bar(Memory64, 0x4000)), 0xc001_0000, "every guest reaches that");
    assert_eq!(place(bar(Memory64, 0x4000).prefetchable()), 64 << 30);
    assert_eq!(place(bar(Memory64, 8 << 30).prefetchable()), 72 << 30);
    assert_eq!(place(bar(Memory64, 2 << 30)), 66 << 30, "it does not fit below 4 GiB");
    assert_eq!([place(bar(Io, 0x10)), place(bar(Io, 0x100)), place(bar(Io, 4))], [0xc000, 0xc100, 0xc010]);
}

#[test]
fn without_a_window_above_ram_all_are_below() {
    let mut windows = Windows::new(None).unwrap();
    assert_eq!(windows.place(bar(Memory64, 256 << 20).prefetchable()), Some(0xc000_0000));
    assert_eq!(windows.place(bar(Memory64, 1 << 30)), None);
    assert_eq!(windows.place(bar(Memory32, 256 << 20)), Some(0xd000_0000));
    assert_eq!(windows.place(bar(Memory32, 16)), None, "ECAM begins there");
}

#[test]
fn a_window_can_be_filled() {
    let mut windows = Windows::new(Some(&WINDOW)).unwrap();
    assert_eq!(windows.place(bar(Memory64, 64 << 30).prefetchable()), Some(64 << 30));
    assert_eq!(windows.place(bar(Memory64, 16).prefetchable()), Some(0xc000_0000), "below, then");
    let ports: Vec<_> = (0..64).map(|_| windows.place(bar(Io, 0x100))).collect();
    assert_eq!((ports[0], ports[63]), (Some(0xc000), Some(0xff00)));
    assert_eq!(windows.place(bar(Io, 4)), None);
}
