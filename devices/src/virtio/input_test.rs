use std::{thread, time::Instant};

use proptest::prelude::*;

use super::*;
use crate::{
    state::testing::{load, saved},
    testing::said_by,
    virtio::{
        queue::test_driver::{Driver, FREE, NEXT, WRITE, any_table},
        serve::{JointHandler, ServeError},
        test_machine::{Event, LONG, TestMachine},
    },
};

const EVENTS: u16 = 0;
const STATUS: u16 = 1;

/// The codes of events.
const X: (u16, u16) = (3, 0);
const Y: (u16, u16) = (3, 1);
const LEFT: (u16, u16) = (1, 0x110);
const SYN: (u16, u16) = (0, 0);

/// A machine whose driver provides buffers for events, adjacent in memory.
struct Guest {
    machine: TestMachine<Tablet>,
    reports: Arc<Reports>,
    given: u64,
}

impl Guest {
    fn new() -> Self {
        let reports = Arc::new(Reports::new().unwrap());
        let mut machine = TestMachine::new(Tablet::new(Arc::clone(&reports)), 2);
        machine.activate(0);
        Self { machine, reports, given: 0 }
    }

    fn give(&mut self, count: u64) {
        for _ in 0..count {
            self.machine.drivers[0].chain(&[(FREE + 8 * self.given, 8, WRITE)]);
            self.given += 1;
        }
        self.machine.kick(EVENTS);
    }

    fn moves(&self, x: u16, y: u16, buttons: u8) {
        self.reports.pointer(Pointer { x, y, buttons });
    }

    /// The events up to the next [`SYN`], each with its value.
    fn report(&mut self) -> Vec<((u16, u16), i32)> {
        let start = Instant::now();
        let mut events = Vec::new();
        loop {
            assert!(start.elapsed() < LONG, "{events:?}");
            let Some((head, len)) = self.machine.drivers[0].used() else {
                assert_eq!(self.machine.event(), Event::Used(EVENTS));
                continue;
            };
            assert_eq!(len, 8);
            let bytes = self.machine.drivers[0].read(FREE + 8 * u64::from(head), 8);
            let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
            let code = (half(0), half(2));
            if code == SYN {
                return events;
            }
            events.push((code, i32::from_le_bytes(bytes[4..].try_into().unwrap())));
        }
    }

    /// Waits until exactly one report waits for buffers.
    fn settle(&self) {
        let start = Instant::now();
        while self.reports.waiting() > 1 {
            assert!(start.elapsed() < LONG);
            thread::yield_now();
        }
    }
}

#[test]
fn a_driver_finds_a_tablet() {
    let mut tablet = Tablet::new(Arc::new(Reports::new().unwrap()));
    let DeviceKind { device_type, class, name } = tablet.kind();
    assert_eq!((device_type, class.base, class.sub, name), (18, 9, 0x80, "virtio-tablet"));
    assert_eq!(tablet.queue_sizes(), [64, 64]);
    tablet.write_config(0, &[1]);
    tablet.write_config(1, &[0]);
    let mut config = [0xff; 200];
    tablet.read_config(0, &mut config);
    assert_eq!(config[..8], [1, 0, 18, 0, 0, 0, 0, 0]);
    assert_eq!(&config[8..26], b"QEMU Virtio Tablet");
    assert_eq!(config[26..], [0; 174]);
    let mut size = [0xff];
    tablet.read_config(2, &mut size);
    assert_eq!(size, [18]);
    tablet.read_config(u64::MAX, &mut size);
    assert_eq!(size, [0]);
    tablet.reset();
    tablet.read_config(2, &mut size);
    assert_eq!(size, [0]);
}

#[test]
fn a_driver_gets_the_pointers_events() {
    let mut guest = Guest::new();
    guest.give(20);
    guest.moves(3, 4, 0);
    assert_eq!(guest.report(), [(X, 3), (Y, 4)]);
    guest.moves(3, 4, 0);
    guest.moves(3, 5, Pointer::LEFT);
    assert_eq!(guest.report(), [(Y, 5), (LEFT, 1)]);
    guest.moves(3, 5, 0);
    assert_eq!(guest.report(), [(LEFT, 0)]);
}

#[test]
fn a_report_is_sent_as_a_whole_and_the_newest_waits_for_buffers() {
    let mut guest = Guest::new();
    guest.give(2);
    guest.moves(1, 1, Pointer::LEFT);
    guest.moves(2, 2, 0);
    guest.moves(7, 8, 0);
    guest.settle();
    assert_eq!(guest.machine.drivers[0].used(), None, "three events have no place in two buffers");
    guest.give(1);
    assert_eq!(guest.report(), [(X, 7), (Y, 8)], "the press and its release are gone");
    guest.moves(7, 9, 0);
    guest.settle();
    assert_eq!(guest.machine.drivers[0].used(), None);
    guest.give(10);
    assert_eq!(guest.report(), [(Y, 9)]);
}

#[test]
fn a_button_is_not_pressed_for_ever_though_its_release_was_dropped() {
    let mut guest = Guest::new();
    guest.give(4);
    guest.moves(1, 1, Pointer::LEFT);
    assert_eq!(guest.report(), [(X, 1), (Y, 1), (LEFT, 1)]);
    guest.moves(1, 1, 0);
    guest.moves(2, 1, 0);
    guest.settle();
    guest.give(5);
    assert_eq!(guest.report(), [(X, 2), (LEFT, 0)]);
}

#[test]
fn a_pause_loses_no_events() {
    let mut guest = Guest::new();
    guest.give(20);
    // No event was sent before.
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    for (x, buttons) in [(1, Pointer::LEFT), (1, 0), (5, 0)] {
        guest.moves(x, 1, buttons);
    }
    guest.machine.activate_on(queues, 0);
    assert_eq!(guest.report(), [(X, 1), (Y, 1), (LEFT, 1)]);
    for report in [(LEFT, 0), (X, 5)] {
        assert_eq!(guest.report(), [report]);
    }
}

#[test]
fn the_state_has_the_drivers_selection_and_its_knowledge() {
    let mut guest = Guest::new();
    guest.give(20);
    guest.moves(1, 1, Pointer::LEFT);
    assert_eq!(guest.report().len(), 3);
    guest.machine.device.write_config(0, &[0x12, 1]);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    let state = saved(&guest.machine.device);
    guest.machine.device.reset();
    load(&mut guest.machine.device, &state).unwrap();
    assert!(load(&mut guest.machine.device, &serde_json::json!({"select": 1})).is_err());
    let mut config = [0; 3];
    guest.machine.device.read_config(0, &mut config);
    assert_eq!(config, [0x12, 1, 20]);
    guest.moves(1, 1, 0);
    guest.machine.activate_on(queues, 0);
    assert_eq!(guest.report(), [(LEFT, 0)]);
}

#[test]
fn a_new_driver_gets_only_the_newest_state() {
    let mut guest = Guest::new();
    guest.give(10);
    guest.moves(1, 1, Pointer::LEFT);
    assert_eq!(guest.report().len(), 3);
    guest.machine.device.reset();
    guest.moves(2, 1, 0);
    guest.moves(3, 1, 0);
    guest.machine.device.features_agreed(0);
    guest.machine.activate(0);
    guest.given = 0;
    guest.give(10);
    assert_eq!(guest.report(), [(X, 3), (Y, 1)]);
    guest.moves(3, 2, 0);
    assert_eq!(guest.report(), [(Y, 2)]);
}

#[test]
fn statuses_are_taken_and_given_back() {
    let mut guest = Guest::new();
    for len in [8, 1, 4096] {
        assert_eq!(guest.machine.request(STATUS, &[(FREE, len, 0)]), 0);
    }
    // A writable buffer is returned unchanged.
    guest.machine.drivers[1].write(FREE, &[0xaa; 8]);
    assert_eq!(guest.machine.request(STATUS, &[(FREE, 8, WRITE)]), 0);
    assert_eq!(guest.machine.drivers[1].read(FREE, 8), [0xaa; 8]);
}

#[test]
fn a_queue_that_is_too_small_for_a_report_gets_none() {
    let reports = Arc::new(Reports::new().unwrap());
    let mut machine = TestMachine::new(Tablet::new(Arc::clone(&reports)), 2);
    let first = Driver::new(2);
    machine.drivers = vec![first.of_queue(0), first.of_queue(1)];
    machine.activate(0);
    let mut guest = Guest { machine, reports, given: 0 };
    guest.give(2);
    for x in 0..1000 {
        guest.moves(x, x, 0);
    }
    guest.settle();
    assert_eq!(guest.machine.drivers[0].used(), None);
    assert_eq!(guest.reports.next(), Some((None, Pointer { x: 999, y: 999, buttons: 0 })));
    assert_eq!(guest.machine.request(STATUS, &[(FREE, 8, 0)]), 0);
}

/// The device says so once, and works again after a reset.
#[test]
fn buffers_and_rings_that_make_no_sense_need_a_reset() {
    let mut guest = Guest::new();
    for loops in [false, true] {
        if loops {
            guest.machine.drivers[0].describe_own(3, (FREE, 8, NEXT, 3));
            guest.machine.drivers[0].offer(3);
        } else {
            (0..3).for_each(|_| guest.machine.offer(EVENTS, &[(FREE, 7, WRITE)]));
        }
        guest.moves(1, 2, 0);
        while guest.machine.event() != Event::NeedsReset {}
        guest.machine.device.reset();
        guest.machine.activate(0);
        guest.given = 0;
        guest.give(3);
        assert_eq!(guest.report(), [(X, 1), (Y, 2)]);
        guest.machine.device.reset();
        guest.machine.activate(0);
    }
    let work = Work::new(Arc::new(Reports::new().unwrap()));
    let said = said_by(|| (0..2).for_each(|_| work.failed(&ServeError::Wait(io::Error::other("x")))));
    assert_eq!(said, ["tablet: it stops until the guest resets it: can't wait for the driver"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any rings, the worker ends when it is told to.
    #[test]
    fn hostile_chains(
        table in any_table(64),
        heads in prop::collection::vec((0..2_usize, 0..65_u16), 1..20),
        pointers in prop::collection::vec((any::<u16>(), any::<u16>(), any::<u8>()), 1..8),
    ) {
        let mut guest = Guest::new();
        for (index, &descriptor) in (0..).zip(&table) {
            guest.machine.drivers.iter().for_each(|driver| driver.describe_own(index, descriptor));
        }
        heads.iter().for_each(|&(queue, head)| guest.machine.drivers[queue].offer(head));
        pointers.iter().for_each(|&(x, y, buttons)| guest.moves(x, y, buttons));
        [EVENTS, STATUS].iter().for_each(|&queue| guest.machine.kick(queue));
        prop_assert!(guest.machine.device.stop(Halt::Pause, LONG).is_some());
        let mut used = [0; 2];
        for (driver, used) in guest.machine.drivers.iter_mut().zip(&mut used) {
            while let Some((head, len)) = driver.used() {
                prop_assert!(head < 64 && len <= 8);
                *used += 1;
            }
        }
        let offered = [0, 1].map(|queue| heads.iter().filter(|head| head.0 == queue).count());
        prop_assert!(used[0] <= offered[0] && used[1] <= offered[1]);
        guest.machine.device.reset();
    }
}
