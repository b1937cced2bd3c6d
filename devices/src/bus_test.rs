use proptest::{collection::vec, prelude::*};

use super::*;

/// A device that answers reads with its tag, and writes with an exit of the offset.
#[derive(Debug)]
struct Tag(u8);

impl BusDevice for Tag {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(self.0);
    }

    fn write(&mut self, offset: u64, _data: &[u8]) -> Effect {
        Effect::Exit(u8::try_from(offset).expect("small ranges"))
    }
}

fn tag(tag: u8) -> Arc<dyn Target> {
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

fn window(base: u64, len: u64, of: u8) -> Window {
    Window { base, len, target: tag(of) }
}

#[test]
fn a_window_answers_where_nothing_else_does() {
    let bus = Bus::default();
    bus.insert(0x20, 8, tag(1)).unwrap();
    bus.reserve(0x40, 0x10).unwrap();
    let parts = bus.set_windows(vec![window(0x10, 0x20, 2), window(0x2c, 0x20, 3), window(0x20, 8, 4)]);
    assert_eq!(
        parts,
        [
            Part { window: 0, first: 0x10, last: 0x1f },
            Part { window: 0, first: 0x28, last: 0x2f },
            Part { window: 1, first: 0x30, last: 0x3f },
        ]
    );
    let at = |address| read(&bus, address, 1)[0];
    assert_eq!([0xf, 0x10, 0x1f, 0x20, 0x27, 0x28, 0x2f, 0x30].map(at), [0xff, 2, 2, 1, 1, 2, 2, 3]);
    assert_eq!([0x3f, 0x40, 0x4b, 0x50].map(at), [3, 0xff, 0xff, 0xff], "reserved");
    assert_eq!(bus.view().write(0x2a, &[0]), Effect::Exit(0x1a), "the offset is that in the whole window");
    assert_eq!(read(&bus, 0x2e, 4), [0xff; 4], "across two");
}

#[test]
fn a_window_comes_back_when_its_way_is_free() {
    let bus = Bus::default();
    let mut view = bus.view();
    let mut at = |address| {
        let mut data = [0];
        view.read(address, &mut data);
        data[0]
    };
    let (first, second) = (window(0x10, 0x10, 1), window(0x18, 0x10, 2));
    bus.set_windows(vec![first.clone(), second.clone()]);
    assert_eq!([at(0x10), at(0x1f), at(0x20)], [1, 1, 2]);
    bus.set_windows(vec![second.clone()]);
    assert_eq!([at(0x10), at(0x1f), at(0x20)], [0xff, 2, 2]);
    bus.set_windows(vec![window(0x80, 0x10, 1), second]);
    assert_eq!([at(0x10), at(0x18), at(0x8f)], [0xff, 2, 1]);
    bus.set_windows(vec![first]);
    assert_eq!([at(0x10), at(0x18), at(0x20), at(0x80)], [1, 1, 0xff, 0xff]);
    bus.insert(0x10, 8, tag(3)).unwrap();
    assert_eq!([at(0x10), at(0x18)], [3, 1], "a device goes over it");
}

#[test]
fn windows_may_be_at_either_end_of_the_address_space() {
    let bus = Bus::default();
    let parts = bus.set_windows(vec![
        window(u64::MAX - 0xf, 0x10, 1),
        window(0, 0x10, 2),
        window(u64::MAX, 2, 3),
        window(8, 0, 4),
    ]);
    assert_eq!(parts.iter().map(|part| part.window).collect::<Vec<_>>(), [0, 1], "the others are no ranges");
    assert_eq!([read(&bus, u64::MAX, 1), read(&bus, 0, 1)], [[1], [2]]);
    assert_eq!(bus.reserve(u64::MAX, 2), Err(BusError::BadRange { base: u64::MAX, len: 2 }));
    bus.reserve(0, 4).unwrap();
    bus.reserve(2, u64::MAX - 1).unwrap();
    assert_eq!([read(&bus, u64::MAX, 1), read(&bus, 0, 1)], [[0xff], [0xff]]);
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
    bus.insert(0x24, 8, tag(3)).unwrap_err();
    assert_eq!([read(0x24), read(0x28)], [2, 0xff]);
}

/// The expected device at each address, computed address by address.
fn expected(
    devices: &[(u64, u64, u8)],
    reserved: &[(u64, u64)],
    windows: &[(u64, u64, u8)],
    address: u64,
) -> u8 {
    let claims = |&&(base, len, _): &&(u64, u64, u8)| base <= address && address < base + len;
    let device = devices.iter().find(claims);
    let reserved = reserved.iter().any(|&(base, len)| base <= address && address < base + len);
    match device {
        None if reserved => 0xff,
        None => windows.iter().find(claims).map_or(0xff, |&(.., tag)| tag),
        Some(&(.., tag)) => tag,
    }
}

proptest! {
    #[test]
    fn a_view_finds_what_a_search_finds(
        ranges in vec((0..200_u64, 1..20_u64), 0..8),
        reserved in vec((0..200_u64, 1..20_u64), 0..4),
        windows in vec((0..200_u64, 1..60_u64), 0..8),
        accesses in vec((0..230_u64, 1..8_u64), 1..40),
    ) {
        let bus = Bus::default();
        let mut devices = Vec::new();
        for (tag_of, (base, len)) in (1..).zip(ranges) {
            if bus.insert(base, len, tag(tag_of)).is_ok() {
                devices.push((base, len, tag_of));
            }
        }
        for &(base, len) in &reserved {
            bus.reserve(base, len).unwrap();
        }
        let windows: Vec<_> = (100..).zip(windows).map(|(tag_of, (base, len))| (base, len, tag_of)).collect();
        let parts = bus.set_windows(windows.iter().map(|&(base, len, tag_of)| window(base, len, tag_of)).collect());
        for address in 0..300 {
            let part = parts.iter().find(|part| part.first <= address && address <= part.last);
            let of_window = windows.iter().position(|&(.., tag)| tag == expected(&devices, &reserved, &windows, address));
            prop_assert_eq!(part.map(|part| part.window), of_window, "{:#x}", address);
        }
        let mut view = bus.view();
        for (address, len) in accesses {
            let all: Vec<_> = (address..address + len).map(|at| expected(&devices, &reserved, &windows, at)).collect();
            let same = all.iter().all(|tag| *tag == all[0]);
            let mut data = vec![0; usize::try_from(len).unwrap()];
            view.read(address, &mut data);
            prop_assert_eq!(data, if same { all } else { vec![0xff; all.len()] });
        }
    }
}
