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
    bus.read(address, &mut data);
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
    assert_eq!(bus.write(0x1a, &[0]), Effect::Exit(2));
    assert_eq!(bus.write(0x20, &[0]), Effect::None);
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
