use proptest::{collection::vec, prelude::*};

use super::*;

/// Answers reads with its tag, and writes with an exit of the offset.
#[derive(Debug)]
struct Tag(u8);

impl Device for Tag {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(self.0);
    }

    fn write(&mut self, offset: u64, _data: &[u8]) -> Effect {
        Effect::Exit(u8::try_from(offset).expect("small ranges"))
    }
}

fn tag(tag: u8) -> SharedDevice {
    Arc::new(Mutex::new(Tag(tag)))
}

fn read(bus: &Bus, address: u64, len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    bus.view().read(address, &mut data);
    data
}

#[test]
fn accesses_reach_the_device_that_claims_all_of_them() {
    let bus = Bus::default();
    bus.insert(0x10, 8, tag(1)).unwrap();
    bus.insert(0x18, 8, tag(2)).unwrap();
    assert_eq!(read(&bus, 0x10, 4), [1; 4]);
    assert_eq!(read(&bus, 0x1f, 1), [2]);
    assert_eq!(read(&bus, 0xf, 1), [0xff]);
    assert_eq!(read(&bus, 0x16, 4), [0xff; 4], "crosses the end of a device");
    assert_eq!(read(&bus, u64::MAX, 8), [0xff; 8]);
    assert_eq!(bus.view().write(0x1a, &[0]), Effect::Exit(2));
    assert_eq!(bus.view().write(0x20, &[0]), Effect::None);
}

#[test]
fn ranges_do_not_overlap() {
    let bus = Bus::default();
    bus.insert(0x10, 8, tag(1)).unwrap();
    for (base, len) in [(0x10, 8), (0xf, 2), (0x17, 1), (0, 0x100), (0x12, 2)] {
        let error = bus.insert(base, len, tag(2)).unwrap_err();
        assert_eq!(error, BusError::Overlap { base, len, other: 0x10 });
    }
    assert_eq!(bus.insert(0x20, 0, tag(2)), Err(BusError::BadRange { base: 0x20, len: 0 }));
    assert!(matches!(bus.insert(u64::MAX, 2, tag(2)), Err(BusError::BadRange { .. })));
    bus.insert(u64::MAX, 1, tag(3)).unwrap();
    assert_eq!(read(&bus, u64::MAX, 1), [3]);
}

#[test]
fn a_device_moves_or_stays() {
    let bus = Bus::default();
    bus.insert(0x10, 8, tag(1)).unwrap();
    bus.insert(0x20, 8, tag(2)).unwrap();
    assert_eq!(bus.remap(Remap { from: 0x11, to: 0x40 }), Err(BusError::NotFound(0x11)));
    assert!(matches!(bus.remap(Remap { from: 0x10, to: 0x1c }), Err(BusError::Overlap { other: 0x20, .. })));
    assert_eq!(read(&bus, 0x10, 1), [1]);
    bus.remap(Remap { from: 0x10, to: 0x14 }).unwrap();
    assert_eq!(read(&bus, 0x10, 1), [0xff]);
    assert_eq!(read(&bus, 0x1b, 1), [1]);
}

#[test]
fn a_view_follows_every_change() {
    let bus = Bus::default();
    let mut view = bus.view();
    let mut read = |address| {
        let mut data = [0];
        view.read(address, &mut data);
        data[0]
    };
    assert_eq!(read(0x10), 0xff);
    bus.insert(0x20, 8, tag(2)).unwrap();
    assert_eq!([read(0x20), read(0x10)], [2, 0xff]);
    bus.insert(0x10, 8, tag(1)).unwrap();
    assert_eq!([read(0x20), read(0x27), read(0x10), read(0x17)], [2, 2, 1, 1]);
    bus.remap(Remap { from: 0x10, to: 0x40 }).unwrap();
    assert_eq!([read(0x10), read(0x40), read(0x20), read(0x28)], [0xff, 1, 2, 0xff]);
    bus.remap(Remap { from: 0x40, to: 0x24 }).unwrap_err();
    assert_eq!([read(0x40), read(0x24)], [1, 2]);
}

proptest! {
    #[test]
    fn a_view_finds_what_a_search_finds(
        ranges in vec((0..200_u64, 1..20_u64), 0..12),
        accesses in vec((0..230_u64, 1..8_usize), 1..40),
    ) {
        let bus = Bus::default();
        let mut kept = Vec::new();
        for (tag_of, (base, len)) in (1..).zip(ranges) {
            if bus.insert(base, len, tag(tag_of)).is_ok() {
                kept.push((base, len, tag_of));
            }
        }
        let mut view = bus.view();
        for (address, len) in accesses {
            let end = address + u64::try_from(len).unwrap();
            let claimed = kept.iter().find(|&&(base, of, _)| base <= address && end <= base + of);
            let mut data = vec![0; len];
            view.read(address, &mut data);
            prop_assert_eq!(data, vec![claimed.map_or(0xff, |&(_, _, tag)| tag); len]);
        }
    }
}
