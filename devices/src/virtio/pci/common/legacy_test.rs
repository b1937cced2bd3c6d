use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use virtio_queue::QueueT;

use super::super::super::test_guest::*;
use crate::{bus::Effect, pci::PciFunction, state::testing, virtio::device::Halt};

const DEVICE_FEATURES: u64 = 0;
const DRIVER_FEATURES: u64 = 4;
const QUEUE_ADDRESS: u64 = 8;
const SIZE: u64 = 12;
const SELECT: u64 = 14;
const QUEUE_NOTIFY: u64 = 16;
const STATUS: u64 = 18;
const ISR_STATUS: u64 = 19;
const CONFIG_VECTOR: u64 = 20;
const QUEUE_VECTOR: u64 = 22;

const ANY_LAYOUT: u64 = 1 << 27;
/// The device's features that fit in 32 bits.
const LEGACY_FEATURES: u64 = FEATURES & 0xffff_ffff | ANY_LAYOUT;

fn status(guest: &mut Guest) -> u64 {
    guest.port_read(STATUS, 1)
}

/// Adds bits to the status as Linux does.
fn add_status(guest: &mut Guest, status: u8) -> Effect {
    let before = guest.port_read(STATUS, 1);
    guest.port_write(STATUS, before | u64::from(status), 1)
}

/// Makes a write that has no effect on the machine.
fn write(guest: &mut Guest, offset: u64, value: u64, len: usize) {
    assert_eq!(guest.port_write(offset, value, len), Effect::None, "{offset}");
}

fn place(guest: &mut Guest, queue: u64, page: u64) {
    write(guest, SELECT, queue, 2);
    write(guest, QUEUE_ADDRESS, page, 4);
}

/// Performs the start up to the point where queues are placed.
fn begin(guest: &mut Guest, features: u64) {
    let _effect = guest.port_write(STATUS, 0, 1);
    assert_eq!(status(guest), 0);
    assert_eq!(add_status(guest, ACKNOWLEDGE), Effect::None);
    assert_eq!(add_status(guest, DRIVER), Effect::None);
    write(guest, DRIVER_FEATURES, features, 4);
}

/// Performs the whole start, with both queues.
fn start(guest: &mut Guest) {
    begin(guest, LEGACY_FEATURES);
    place(guest, 0, 0x10);
    place(guest, 1, 0x40);
    assert_eq!(add_status(guest, DRIVER_OK), Effect::Decode);
}

/// The size, and the addresses of the three parts, of each queue of the device.
fn active(guest: &Guest) -> Option<Vec<(u16, [u64; 3])>> {
    let state = guest.state();
    let queues = &state.active.as_ref()?.queues;
    let areas = |queue: &virtio_queue::Queue| [queue.desc_table(), queue.avail_ring(), queue.used_ring()];
    Some(queues.iter().map(|active| (active.queue.size(), areas(&active.queue))).collect())
}

fn kicked(guest: &Guest) -> Vec<u64> {
    guest.state().active.as_ref().unwrap().queues.iter().map(|queue| queue.kick.read().unwrap_or(0)).collect()
}

#[test]
fn the_function_is_for_legacy_and_modern_drivers() {
    let mut guest = Guest::transitional();
    assert_eq!(guest.config_read(0, 4), u32::from(TRANSITIONAL_ID) << 16 | 0x1af4);
    assert_eq!(guest.config_read(8, 4), 0x0180_0000, "revision 0");
    assert_eq!(guest.config_read(0x2c, 4), 0x0002_1af4, "the device's type");
    assert_eq!(u64::from(guest.config_read(0x10, 4)), PORTS | 1);
    assert_eq!(u64::from(guest.config_read(0x14, 4)), BAR);
    let _effect = guest.config_write(0x10, u32::MAX, 4);
    assert_eq!(guest.config_read(0x10, 4), 0xffff_ff81, "128 ports");
    for cfg_type in 1..5 {
        let at = guest.capability(9, Some(cfg_type));
        assert_eq!(guest.config_read(at + 4, 1), 1, "memory BAR");
    }
    let msix = guest.capability(0x11, None);
    assert_eq!(guest.config_read(msix + 4, 4), 0x4001);
    assert_eq!(guest.config_read(msix + 8, 4), 0x5001);
    guest.start();
    let state = guest.state();
    assert_eq!(state.active.as_ref().unwrap().features, FEATURES | VERSION_1);
}

#[test]
fn a_legacy_driver_brings_the_device_up() {
    let mut guest = Guest::transitional();
    assert_eq!(guest.port_read(DEVICE_FEATURES, 4), LEGACY_FEATURES);
    guest.state().config = [1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(guest.port_read(20, 4), 0x0403_0201, "configuration");
    begin(&mut guest, 1 << 29 | 1 << 5 | 1 << 6);
    assert_eq!(guest.port_read(DRIVER_FEATURES, 4), 1 << 29 | 1 << 5, "of those offered");
    assert_eq!(guest.state().agreed, Some(1 << 29 | 1 << 5));
    write(&mut guest, DRIVER_FEATURES, 1 << 29, 4);
    for (queue, size) in [(2, 0), (0xffff, 0), (1, 64), (0, 256)] {
        write(&mut guest, SELECT, queue, 2);
        assert_eq!(guest.port_read(SELECT, 2), queue);
        assert_eq!(guest.port_read(SIZE, 2), size);
        assert_eq!(guest.port_read(QUEUE_ADDRESS, 4), 0);
    }
    place(&mut guest, 0, 0x10);
    assert_eq!(guest.port_read(QUEUE_ADDRESS, 4), 0x10);
    place(&mut guest, 1, 0x20);
    place(&mut guest, 1, 0);
    assert_eq!(guest.port_read(QUEUE_ADDRESS, 4), 0, "given up, as Linux does without enough vectors");
    place(&mut guest, 1, 0x40);
    assert!(active(&guest).is_none());
    assert!(guest.pci.doorbells().is_empty());

    assert_eq!(add_status(&mut guest, DRIVER_OK), Effect::Decode);
    assert_eq!(status(&mut guest), u64::from(ACKNOWLEDGE | DRIVER | DRIVER_OK));
    let (first, second) = ([0x1_0000, 0x1_1000, 0x1_2000], [0x4_0000, 0x4_0400, 0x4_1000]);
    assert_eq!(active(&guest), Some(vec![(256, first), (64, second)]));
    assert_eq!(guest.state().active.as_ref().unwrap().features, 1 << 29);
    let doorbells: Vec<_> = guest
        .pci
        .doorbells()
        .iter()
        .map(|doorbell| (doorbell.bar, doorbell.offset, doorbell.value))
        .collect();
    assert_eq!(doorbells, [(0, QUEUE_NOTIFY, Some(0)), (0, QUEUE_NOTIFY, Some(1))]);
    write(&mut guest, QUEUE_NOTIFY, 1, 2);
    write(&mut guest, QUEUE_NOTIFY, 2, 2);
    assert_eq!(kicked(&guest), [0, 1]);

    assert_eq!(guest.port_write(STATUS, 0, 1), Effect::Decode);
    assert_eq!(guest.state().halt, Some(Halt::Reset));
    assert!(guest.pci.doorbells().is_empty());
    assert_eq!((status(&mut guest), guest.port_read(DRIVER_FEATURES, 4)), (0, 0));
    assert_eq!(guest.port_read(QUEUE_ADDRESS, 4), 0);
    guest.start();
}

/// The way in which Linux before 3.18 reads the partition table.
#[test]
fn queues_are_served_before_driver_ok() {
    let mut guest = Guest::transitional();
    begin(&mut guest, 0);
    place(&mut guest, 1, 0x40);
    for unplaced in [0, 2, 0xffff] {
        write(&mut guest, QUEUE_NOTIFY, unplaced, 2);
        assert!(active(&guest).is_none(), "{unplaced}");
    }
    write(&mut guest, QUEUE_NOTIFY, 1, 2);
    assert_eq!(active(&guest).map(|queues| queues.len()), Some(1));
    assert_eq!(kicked(&guest), [1]);
    write(&mut guest, QUEUE_NOTIFY, 1, 2);
    assert_eq!(kicked(&guest), [1]);
    guest.state().active.as_ref().unwrap().notify.used(1);
    assert!(guest.line.high());
    assert_eq!(add_status(&mut guest, DRIVER_OK), Effect::Decode, "not activated twice");
    assert_eq!(kicked(&guest), [0]);
}

#[test]
fn the_driver_uses_one_interface_until_a_reset() {
    let mut guest = Guest::transitional();
    begin(&mut guest, LEGACY_FEATURES);
    guest.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    guest.set_features(FEATURES | VERSION_1);
    guest.set_up_queue(0, 256, [0x1_0000, 0x2_0000, 0x3_0000]);
    assert_eq!(guest.port_read(DRIVER_FEATURES, 4), LEGACY_FEATURES);
    assert_eq!(status(&mut guest), u64::from(ACKNOWLEDGE | DRIVER));
    assert_eq!(add_status(&mut guest, FEATURES_OK | NEEDS_RESET), Effect::None);
    assert_eq!(guest.status(), ACKNOWLEDGE | DRIVER, "bits that a legacy driver does not know");
    write(&mut guest, QUEUE_NOTIFY, 0, 2);
    assert!(active(&guest).is_none(), "no queue was placed");
    assert_eq!(add_status(&mut guest, DRIVER_OK), Effect::Decode);
    assert_eq!(active(&guest), Some(Vec::new()));
    // A reset through the other interface also works.
    guest.start();
    kicked(&guest);
    for (offset, value, len) in [
        (DRIVER_FEATURES, 0, 4),
        (QUEUE_ADDRESS, 0x50, 4),
        (SELECT, 1, 2),
        (STATUS, u64::from(FAILED), 1),
        (20, 0x55, 1),
        (QUEUE_NOTIFY, 0, 2),
    ] {
        write(&mut guest, offset, value, len);
    }
    assert_eq!(guest.status() & FAILED, 0);
    assert_eq!(guest.state().config, [0; 8]);
    assert_eq!(kicked(&guest), [0, 0]);
    assert_eq!(active(&guest).unwrap()[0], (256, [0x1_0000, 0x2_0000, 0x3_0000]));
    start(&mut guest);
    // A modern driver's writes before it sets a status do not count as a legacy driver's choice.
    guest.reset();
    guest.set_features(u64::MAX);
    assert_eq!(guest.port_write(STATUS, 7, 1), Effect::Decode);
    assert_eq!(guest.state().active.as_ref().unwrap().features, 0);
}

#[test]
fn a_queue_outside_memory_is_not_served() {
    // Queue 0 takes three pages: 0x1000 bytes of descriptors, two rings of 0x206 and 0x806.
    for page in [0xff, 0xfe, 0x100, 0x1000, 0xf_ffff, 0x10_0000, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff] {
        let mut guest = Guest::transitional();
        begin(&mut guest, 0);
        place(&mut guest, 0, page);
        place(&mut guest, 1, 0x40);
        write(&mut guest, QUEUE_NOTIFY, 0, 2);
        write(&mut guest, QUEUE_NOTIFY, 1, 2);
        assert_eq!(add_status(&mut guest, DRIVER_OK), Effect::None, "{page:#x}");
        assert!(active(&guest).is_none(), "{page:#x}");
        assert_eq!(status(&mut guest), 3, "{page:#x}: a legacy driver knows no more of it");
        assert_eq!(guest.status() & NEEDS_RESET, NEEDS_RESET);
        start(&mut guest);
    }
    let mut guest = Guest::transitional();
    begin(&mut guest, 0);
    place(&mut guest, 0, 0xfd);
    write(&mut guest, QUEUE_NOTIFY, 0, 2);
    assert!(active(&guest).is_some(), "ends where memory ends");
}

#[test]
fn settings_that_the_device_started_with_stay() {
    let mut guest = Guest::transitional();
    start(&mut guest);
    let before = active(&guest);
    write(&mut guest, DRIVER_FEATURES, 0, 4);
    for page in [0, 0x50, 0xffff_ffff] {
        place(&mut guest, 0, page);
    }
    assert_eq!(guest.port_read(DRIVER_FEATURES, 4), LEGACY_FEATURES);
    assert_eq!(guest.port_read(QUEUE_ADDRESS, 4), 0x10);
    assert_eq!(add_status(&mut guest, ACKNOWLEDGE | DRIVER | DRIVER_OK), Effect::None);
    assert_eq!(active(&guest), before);
    assert_eq!(guest.status() & NEEDS_RESET, 0);
}

#[test]
fn registers_are_written_by_their_widths() {
    let mut guest = Guest::transitional();
    begin(&mut guest, 0);
    for (offset, len) in [
        (DEVICE_FEATURES, 4),
        (DRIVER_FEATURES, 1),
        (DRIVER_FEATURES, 2),
        (QUEUE_ADDRESS, 2),
        (QUEUE_ADDRESS, 8),
        (QUEUE_ADDRESS + 2, 4),
        (SIZE, 2),
        (SELECT, 1),
        (SELECT, 4),
        (QUEUE_NOTIFY, 4),
        (STATUS, 2),
        (ISR_STATUS, 1),
    ] {
        write(&mut guest, offset, 0x44, len);
    }
    let registers: Vec<_> = (0..20).map(|offset| guest.port_read(offset, 1)).collect();
    let features = LEGACY_FEATURES.to_le_bytes().map(u64::from);
    let rest = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 3, 0];
    assert_eq!(registers, [&features[..4], &rest].concat());
    assert_eq!(guest.port_read(STATUS, 2), 3, "status and ISR");
    guest.state().config = [1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(guest.port_read(24, 8), 0x0807_0605);
    write(&mut guest, 21, 0x99, 1);
    assert_eq!(guest.state().config, [1, 0x99, 3, 4, 5, 6, 7, 8]);
    for offset in [28, 126, 127, 0xffff_ffff, u64::MAX] {
        assert_eq!(guest.port_read(offset, 2), 0, "{offset:#x}");
        assert_eq!(guest.port_read(offset, 4), 0, "{offset:#x}");
    }
}

#[test]
fn interrupts_come_by_the_line_or_by_vectors() {
    let mut guest = Guest::transitional();
    start(&mut guest);
    let notify = guest.state().active.as_ref().unwrap().notify.clone();
    notify.used(0);
    assert!(guest.line.high());
    assert_eq!(guest.port_read(STATUS, 1), 7, "which leaves the ISR alone");
    notify.config_changed();
    assert_eq!(guest.port_read(ISR_STATUS, 1), 3);
    assert!(!guest.line.high());
    assert_eq!(guest.port_read(ISR_STATUS, 1), 0);

    guest.state().config = [1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(guest.port_read(20, 2), 0x0201);
    let msix = guest.capability(0x11, None);
    let _effect = guest.config_write(msix + 2, 0x8000, 2);
    assert_eq!(guest.port_read(20, 4), 0xffff_ffff, "the vectors come before the configuration");
    assert_eq!(guest.port_read(24, 2), 0x0201);
    for vector in 0..3 {
        let entry = MSIX_TABLE + 16 * vector;
        guest.write(entry, 0xfee0_0000, 4);
        guest.write(entry + 12, 0, 4);
    }
    write(&mut guest, CONFIG_VECTOR, 2, 2);
    write(&mut guest, SELECT, 1, 2);
    write(&mut guest, QUEUE_VECTOR, 3, 2);
    assert_eq!(guest.port_read(QUEUE_VECTOR, 2), 0xffff, "there is none");
    write(&mut guest, QUEUE_VECTOR, 1, 2);
    assert_eq!((guest.port_read(CONFIG_VECTOR, 2), guest.port_read(QUEUE_VECTOR, 2)), (2, 1));
    notify.used(0);
    assert_eq!(guest.take_signals(), [0, 0, 0]);
    notify.used(1);
    notify.config_changed();
    assert_eq!(guest.take_signals(), [0, 1, 1]);
    assert!(!guest.line.high());
    let _effect = guest.config_write(msix + 2, 0, 2);
    write(&mut guest, CONFIG_VECTOR, 0x9999, 2);
    assert_eq!(guest.state().config[..3], [0x99, 0x99, 3], "where the vectors were");
}

#[test]
fn a_reset_that_takes_long_is_not_over() {
    let mut guest = Guest::transitional();
    start(&mut guest);
    guest.state().hangs = true;
    assert_eq!(guest.port_write(STATUS, 0, 1), Effect::Decode, "the doorbells have gone");
    assert_eq!(add_status(&mut guest, DRIVER), Effect::None);
    assert_eq!(status(&mut guest), 7);
    assert!(!guest.pci.pause(Duration::ZERO));
    guest.state().hangs = false;
    assert_eq!(status(&mut guest), 0);
    start(&mut guest);
}

fn saved(guest: &mut Guest) -> Value {
    assert!(guest.pci.pause(Duration::ZERO));
    testing::saved(&guest.pci)
}

fn load(guest: &mut Guest, state: &Value) -> Result<(), String> {
    testing::load(&mut guest.pci, state)
}

#[test]
fn a_state_is_taken_up_with_or_without_driver_ok() {
    for driver_ok in [false, true] {
        let mut first = Guest::transitional();
        begin(&mut first, 1 << 29);
        place(&mut first, 0, 0x10);
        write(&mut first, QUEUE_NOTIFY, 0, 2);
        if driver_ok {
            assert_eq!(add_status(&mut first, DRIVER_OK), Effect::Decode);
        }
        first.state().active.as_mut().unwrap().queues[0].queue.set_next_avail(9);
        let state = saved(&mut first);
        let mut second = Guest::transitional();
        load(&mut second, &state).unwrap();
        assert_eq!(saved(&mut second)["common"], state["common"]);
        assert_eq!(second.state().agreed, Some(1 << 29));
        for guest in [&mut first, &mut second] {
            guest.pci.resume().unwrap();
            assert_eq!(active(guest), Some(vec![(256, [0x1_0000, 0x1_1000, 0x1_2000])]));
            assert_eq!(guest.state().active.as_ref().unwrap().queues[0].queue.next_avail(), 9);
            assert_eq!(guest.pci.doorbells().len(), if driver_ok { 2 } else { 0 });
            place(guest, 0, 0x50);
            assert_eq!(guest.port_read(QUEUE_ADDRESS, 4), 0x10);
            let expected = if driver_ok { Effect::None } else { Effect::Decode };
            assert_eq!(add_status(guest, DRIVER_OK), expected);
        }
    }
    // No queue was placed yet.
    let mut first = Guest::transitional();
    begin(&mut first, 1 << 5);
    let state = saved(&mut first);
    let mut second = Guest::transitional();
    load(&mut second, &state).unwrap();
    second.pci.resume().unwrap();
    assert_eq!(second.port_read(DRIVER_FEATURES, 4), 1 << 5);
    place(&mut second, 0, 0x10);
    assert_eq!(add_status(&mut second, DRIVER_OK), Effect::Decode);
    assert!(active(&second).is_some());

    let no_legacy = "it makes no sense: a legacy driver of a device that none can use";
    let other = "this is the state of another pci function than this virtio-fake, or of one in another version of nvmm";
    assert_eq!(load(&mut Guest::new(), &state).unwrap_err(), other);
    for (path, value, expected) in [
        ("/common/interrupts/status", json!(0), no_legacy),
        (
            "/common/driver_features",
            json!(VERSION_1),
            "its driver uses features 0x100000000, which this virtio-fake does not all offer",
        ),
    ] {
        let mut state = state.clone();
        *state.pointer_mut(path).unwrap() = value;
        assert_eq!(load(&mut Guest::transitional(), &state).unwrap_err(), expected);
    }
}

proptest! {
    /// A device that asserts that its queues lie in memory.
    #[test]
    fn no_access_is_too_odd(
        accesses in prop::collection::vec(
            (any::<bool>(), prop_oneof![4 => 0_u64..32, 1 => any::<u64>()], prop::sample::select(vec![1, 2, 4]),
             prop_oneof![0..16_u64, Just(0x10), Just(0xfd), any::<u64>()]),
            0..150,
        ),
    ) {
        let mut guest = Guest::transitional();
        for (index, (is_port, offset, len, value)) in accesses.into_iter().enumerate() {
            if index % 8 == 0 {
                prop_assert!(guest.pci.pause(Duration::ZERO));
                prop_assert!(guest.pci.resume().is_ok());
            }
            let (bar, data) = (u8::from(!is_port), &value.to_le_bytes()[..len]);
            let mut back = data.to_vec();
            guest.pci.bar_read(bar, offset, &mut back);
            let effect = guest.pci.bar_write(bar, offset, data);
            prop_assert!(matches!(effect, Effect::None | Effect::Decode), "{:?}", effect);
        }
        start(&mut guest);
        prop_assert!(active(&guest).is_some(), "a driver can still begin anew");
    }
}
