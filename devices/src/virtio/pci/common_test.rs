use std::{io::ErrorKind, sync::Arc, time::Duration};

use virtio_queue::{Queue, QueueT};

use super::super::test_guest::*;
use crate::{
    testing::said_by,
    virtio::device::{Halt, Notify},
};

const READY: u8 = ACKNOWLEDGE | DRIVER | FEATURES_OK;

#[test]
fn a_driver_brings_the_device_up() {
    let mut guest = Guest::new();
    assert_eq!(guest.read(NUM_QUEUES, 2), 2);
    let mut offered = 0;
    for half in 0..3 {
        guest.write(DEVICE_FEATURE_SELECT, half, 4);
        let features = guest.read(DEVICE_FEATURE, 4);
        if half < 2 {
            offered |= features << (32 * half);
        } else {
            assert_eq!(features, 0);
        }
    }
    assert_eq!(offered, FEATURES | VERSION_1);
    for (queue, size) in [(0, 256), (1, 64), (2, 0), (0xffff, 0)] {
        guest.write(QUEUE_SELECT, queue, 2);
        assert_eq!(guest.read(QUEUE_SELECT, 2), queue);
        assert_eq!(guest.read(QUEUE_SIZE, 2), size);
        assert_eq!(guest.read(QUEUE_ENABLE, 2), 0);
        assert_eq!(guest.read(QUEUE_MSIX_VECTOR, 2), 0xffff);
        assert_eq!(guest.read(QUEUE_NOTIFY_OFF, 2), if size == 0 { 0 } else { queue });
    }

    guest.negotiate(VERSION_1 | 1 << 29);
    assert_eq!(guest.status(), READY);
    guest.set_up_queue(1, 32, [0x1000, 0x2000, 0x3000]);
    assert_eq!(guest.read(QUEUE_ENABLE, 2), 1);
    assert!(guest.state().active.is_none());
    guest.add_status(DRIVER_OK);
    assert_eq!(guest.status(), READY | DRIVER_OK);

    let state = guest.state();
    let active = state.active.as_ref().unwrap();
    assert_eq!(active.features, VERSION_1 | 1 << 29);
    assert_eq!(active.queues.len(), 1, "the driver enabled one");
    let queue = &active.queues[0];
    assert_eq!(queue.index, 1);
    assert_eq!(queue.queue.size(), 32);
    assert!(queue.queue.event_idx_enabled());
    assert_eq!(queue.queue.desc_table(), 0x1000);
    assert_eq!(queue.queue.avail_ring(), 0x2000);
    assert_eq!(queue.queue.used_ring(), 0x3000);
}

#[test]
fn features_must_be_of_those_offered_and_modern() {
    let mut guest = Guest::new();
    for wrong in [0, FEATURES, VERSION_1 | 1 << 6, VERSION_1 | 1 << 34, VERSION_1 | 1 << 63] {
        guest.negotiate(wrong);
        assert_eq!(guest.status(), ACKNOWLEDGE | DRIVER, "{wrong:#x}");
        guest.add_status(DRIVER_OK);
        assert_eq!(guest.status(), ACKNOWLEDGE | DRIVER, "{wrong:#x}");
        assert_eq!(guest.state().agreed, None);
    }
    assert!(guest.state().active.is_none());

    guest.negotiate(VERSION_1);
    assert_eq!(guest.status(), READY);
    assert_eq!(guest.state().agreed, Some(VERSION_1), "before anything is started");
    guest.set_features(u64::MAX);
    guest.write(DRIVER_FEATURE_SELECT, 0, 4);
    assert_eq!(guest.read(DRIVER_FEATURE, 4), 0, "settled");
    guest.add_status(DRIVER_OK);
    assert_eq!(guest.state().active.as_ref().unwrap().features, VERSION_1);
}

#[test]
fn features_are_two_halves() {
    let mut guest = Guest::new();
    guest.write(DRIVER_FEATURE_SELECT, 1, 4);
    guest.write(DRIVER_FEATURE, 0x1234_5678, 4);
    guest.write(DRIVER_FEATURE_SELECT, 2, 4);
    guest.write(DRIVER_FEATURE, 0xffff_ffff, 4);
    assert_eq!(guest.read(DRIVER_FEATURE, 4), 0);
    guest.write(DRIVER_FEATURE_SELECT, 0, 4);
    assert_eq!(guest.read(DRIVER_FEATURE, 4), 0);
    guest.write(DRIVER_FEATURE_SELECT, 1, 4);
    assert_eq!(guest.read(DRIVER_FEATURE, 4), 0x1234_5678);
}

#[test]
fn status_bits_are_added_until_reset() {
    let mut guest = Guest::new();
    guest.set_status(ACKNOWLEDGE | DRIVER);
    guest.set_status(DRIVER);
    guest.set_status(ACKNOWLEDGE | FEATURES_OK);
    assert_eq!(guest.status(), ACKNOWLEDGE | DRIVER, "neither takes a bit away");
    guest.add_status(DRIVER_OK);
    assert_eq!(guest.status(), ACKNOWLEDGE | DRIVER, "features come first");
    guest.add_status(0x30 | NEEDS_RESET);
    assert_eq!(guest.status(), ACKNOWLEDGE | DRIVER, "not the driver's bits");
    guest.add_status(FAILED);
    assert_eq!(guest.status(), ACKNOWLEDGE | DRIVER | FAILED);
    guest.set_status(0);
    assert_eq!(guest.status(), 0);
}

#[test]
fn a_queue_that_can_not_be_is_refused() {
    let good = [0x1000, 0x2000, 0x3000];
    for (name, size, areas) in [
        ("size 0", 0, good),
        ("size no power of two", 3, good),
        ("size over the maximum", 512, good),
        ("descriptors unaligned", 16, [0x1008, 0x2000, 0x3000]),
        ("available ring unaligned", 16, [0x1000, 0x2001, 0x3000]),
        ("used ring unaligned", 16, [0x1000, 0x2000, 0x3002]),
        ("descriptors past memory", 16, [MEMORY_SIZE - 0x80, 0x2000, 0x3000]),
        ("available ring past memory", 16, [0x1000, MEMORY_SIZE, 0x3000]),
        ("used ring past memory", 16, [0x1000, 0x2000, MEMORY_SIZE - 0x84]),
        ("at the end of addresses", 16, [u64::MAX - 0xf, 0x2000, 0x3000]),
        ("above 4 GiB", 16, [0x1000, 0x2000, 1 << 32 | 0x3000]),
    ] {
        let mut guest = Guest::new();
        guest.negotiate(VERSION_1);
        guest.set_up_queue(0, size, areas);
        assert_eq!(guest.read(QUEUE_ENABLE, 2), 0, "{name}");
        assert_eq!(guest.status(), READY | NEEDS_RESET, "{name}");
        guest.add_status(DRIVER_OK);
        assert!(guest.state().active.is_none(), "{name}");
        guest.start();
    }
    // It ends where memory ends.
    let mut guest = Guest::new();
    guest.negotiate(VERSION_1);
    guest.set_up_queue(0, 16, [MEMORY_SIZE - 256, MEMORY_SIZE - 256 - 38, 0x3000]);
    assert_eq!(guest.read(QUEUE_ENABLE, 2), 1);
}

#[test]
fn an_enabled_queue_stays_as_it_is() {
    let mut guest = Guest::new();
    guest.negotiate(VERSION_1);
    guest.set_up_queue(0, 16, [0x1000, 0x2000, 0x3000]);
    guest.set_up_queue(0, 32, [0x4000, u64::MAX, 0x6000]);
    guest.write(QUEUE_ENABLE, 0, 2);
    assert_eq!(guest.read(QUEUE_ENABLE, 2), 1);
    assert_eq!(guest.read(QUEUE_SIZE, 2), 16);
    assert_eq!(guest.read(QUEUE_DESC, 8), 0x1000);
    assert_eq!(guest.read(QUEUE_DRIVER, 8), 0x2000);
    assert_eq!(guest.read(QUEUE_DEVICE, 8), 0x3000);
    assert_eq!(guest.status() & NEEDS_RESET, 0);
    guest.add_status(DRIVER_OK);
    guest.set_up_queue(1, 16, [0x4000, 0x5000, 0x6000]);
    assert_eq!(guest.read(QUEUE_ENABLE, 2), 0, "too late");
    assert_eq!(guest.status() & NEEDS_RESET, 0);
    assert_eq!(guest.state().active.as_ref().unwrap().queues.len(), 1);
}

#[test]
fn reset_takes_the_queues_back_and_all_can_begin_again() {
    let mut guest = Guest::new();
    for round in 1..=100 {
        guest.enable_msix();
        guest.start();
        assert!(guest.state().active.is_some());
        guest.state().active.as_ref().unwrap().notify.needs_reset();
        assert_eq!(guest.status() & NEEDS_RESET, NEEDS_RESET);
        let resets = guest.state().resets;
        guest.set_status(0);
        assert_eq!(guest.status(), 0);
        assert!(guest.state().active.is_none());
        assert_eq!(guest.state().resets, resets + 1, "round {round}");
        for (register, len, value) in [
            (DEVICE_FEATURE_SELECT, 4, 0),
            (DRIVER_FEATURE_SELECT, 4, 0),
            (DRIVER_FEATURE, 4, 0),
            (CONFIG_MSIX_VECTOR, 2, 0xffff),
            (QUEUE_SELECT, 2, 0),
            (QUEUE_SIZE, 2, 256),
            (QUEUE_MSIX_VECTOR, 2, 0xffff),
            (QUEUE_ENABLE, 2, 0),
            (QUEUE_DESC, 8, 0),
            (QUEUE_DRIVER, 8, 0),
            (QUEUE_DEVICE, 8, 0),
        ] {
            assert_eq!(guest.read(register, len), value, "register {register}");
        }
    }
    assert!(!guest.line.high());
}

#[test]
fn dropping_the_transport_stops_the_device() {
    let mut guest = Guest::new();
    guest.start();
    assert!(guest.state().active.is_some());
    let resets = guest.state().resets;
    let shared = guest.shared_state();
    drop(guest);
    assert!(shared.lock().unwrap().active.is_none());
    assert_eq!(shared.lock().unwrap().resets, resets + 1);
}

#[test]
fn a_device_that_can_not_start_needs_a_reset() {
    let mut guest = Guest::new();
    guest.enable_msix();
    guest.state().fail = true;
    guest.negotiate(VERSION_1);
    guest.write(CONFIG_MSIX_VECTOR, 2, 2);
    guest.add_status(DRIVER_OK);
    assert_eq!(guest.status(), READY | DRIVER_OK | NEEDS_RESET);
    assert_eq!(guest.take_signals(), [0, 0, 1]);
    guest.state().fail = false;
    guest.start();
    assert!(guest.state().active.is_some());
}

/// A driver may try as often as it likes.
#[test]
fn a_failing_start_of_a_device_is_logged_once() {
    let mut guest = Guest::new();
    guest.state().fail = true;
    let said = said_by(|| {
        for _ in 0..100 {
            guest.negotiate(VERSION_1);
            guest.add_status(DRIVER_OK);
            assert_eq!(guest.status() & NEEDS_RESET, NEEDS_RESET);
        }
    });
    assert_eq!(said, ["virtio-fake: can't start: out of memory"]);
}

#[test]
fn fields_are_read_in_any_width_and_written_in_theirs() {
    let mut guest = Guest::new();
    guest.negotiate(VERSION_1);
    guest.write(QUEUE_DESC, 0x1_2345_6780, 8);
    assert_eq!(guest.read(QUEUE_DESC, 8), 0x1_2345_6780);
    assert_eq!(guest.read(QUEUE_DESC + 4, 4), 1);
    assert_eq!(guest.read(QUEUE_DESC + 1, 2), 0x4567);
    guest.write(QUEUE_DESC, 0, 2);
    guest.write(QUEUE_DESC + 2, 0, 4);
    guest.write(QUEUE_SIZE, 0, 1);
    guest.write(QUEUE_SELECT, 0x0020_0001, 4);
    guest.write(DEVICE_STATUS, 0, 2);
    guest.write(DEVICE_FEATURE_SELECT, u64::MAX, 8);
    assert_eq!(guest.read(QUEUE_DESC, 8), 0x1_2345_6780);
    assert_eq!(guest.read(QUEUE_SIZE, 2), 256);
    assert_eq!(guest.read(QUEUE_SELECT, 2), 0);
    assert_eq!(guest.status(), READY);
    assert_eq!(guest.read(QUEUE_DEVICE + 4, 8), 0, "past the end");
    // Read-only.
    guest.write(NUM_QUEUES, 9, 2);
    guest.write(CONFIG_GENERATION, 9, 1);
    guest.write(QUEUE_NOTIFY_OFF, 9, 2);
    assert_eq!(guest.read(NUM_QUEUES, 2), 2);
    assert_eq!(guest.read(CONFIG_GENERATION, 1), 0);
    assert_eq!(guest.read(QUEUE_NOTIFY_OFF, 2), 0);
}

#[test]
fn the_device_reaches_its_driver() {
    let mut guest = Guest::new();
    guest.enable_msix();
    guest.negotiate(VERSION_1);
    guest.set_up_queue(0, 16, [0x1000, 0x2000, 0x3000]);
    guest.enable_msix();
    guest.add_status(DRIVER_OK);
    let notify: Arc<dyn Notify> = guest.state().active.as_ref().unwrap().notify.clone();
    notify.used(0);
    assert_eq!(guest.take_signals(), [0, 1, 0]);
    assert_eq!(guest.vectors[1].message().data, 0x41);
    notify.used(1);
    assert_eq!(guest.take_signals(), [0, 0, 1]);
    notify.config_changed();
    assert_eq!(guest.take_signals(), [1, 0, 0]);
    assert_eq!(guest.read(CONFIG_GENERATION, 1), 1);
    notify.needs_reset();
    assert_eq!(guest.take_signals(), [1, 0, 0]);
    assert_eq!(guest.status() & NEEDS_RESET, NEEDS_RESET);
    guest.add_status(FAILED);
    assert_eq!(guest.status() & NEEDS_RESET, NEEDS_RESET, "not the driver's to clear");
    guest.set_status(READY | DRIVER_OK | FAILED);
    assert_eq!(guest.status() & NEEDS_RESET, NEEDS_RESET, "a write that leaves it out is no mistake");
}

/// virtio 1.3, "Device Reset": the driver waits until the status reads 0. Nothing else happens meanwhile.
#[test]
fn a_slow_reset_blocks_nothing() {
    let mut guest = Guest::new();
    guest.enable_msix();
    guest.start();
    guest.state().hangs = true;
    let resets = guest.state().resets;
    guest.set_status(0);
    assert_eq!(guest.status(), READY | DRIVER_OK, "not yet");
    // A driver that doesn't wait is ignored.
    guest.set_status(0);
    guest.set_status(ACKNOWLEDGE);
    guest.write(QUEUE_SELECT, 1, 2);
    assert_eq!(guest.read(QUEUE_SELECT, 2), 1, "as the driver left it");
    guest.write(QUEUE_SELECT, 0, 2);
    assert_eq!(guest.read(QUEUE_SELECT, 2), 1, "as the driver left it");
    assert_eq!(guest.status(), READY | DRIVER_OK);
    assert!(guest.state().active.is_some());
    assert_eq!(guest.state().resets, resets);
    assert!(!guest.pci.stop(Duration::ZERO));

    guest.state().hangs = false;
    assert_eq!(guest.status(), 0);
    assert!(guest.state().active.is_none());
    assert_eq!(guest.state().resets, resets + 1);
    assert_eq!(guest.read(QUEUE_SELECT, 2), 0);
    guest.start();
    assert!(guest.state().active.is_some());
    assert!(guest.pci.stop(Duration::ZERO));
    assert!(guest.state().active.is_none());
}

#[test]
fn a_paused_device_goes_on_where_it_was() {
    let mut guest = Guest::new();
    guest.start();
    guest.enable_msix();
    let queue_1 = |guest: &mut Guest, change: fn(&mut Queue)| {
        let mut state = guest.state();
        let queue = &mut state.active.as_mut().unwrap().queues[1].queue;
        change(queue);
        (queue.next_avail(), queue.next_used(), queue.size(), queue.event_idx_enabled())
    };
    let advanced = queue_1(&mut guest, |queue| {
        queue.set_next_avail(5);
        queue.set_next_used(3);
    });
    assert_eq!(advanced, (5, 3, 64, true));
    let (status, resets) = (guest.status(), guest.state().resets);
    for _ in 0..100 {
        assert!(guest.pci.pause(Duration::ZERO));
        assert!(guest.pci.pause(Duration::ZERO), "it stays so");
        assert!(guest.state().active.is_none());
        assert_eq!(guest.state().halt, Some(Halt::Pause));
        guest.pci.resume().unwrap();
        assert_eq!(queue_1(&mut guest, |_| {}), advanced);
    }
    guest.write(NOTIFY + 4, 1, 2);
    assert_eq!(guest.state().active.as_ref().unwrap().queues[1].kick.read().unwrap(), 1);
    guest.state().active.as_ref().unwrap().notify.used(0);
    assert_eq!(guest.take_signals(), [0, 1, 0]);
    assert_eq!((guest.status(), guest.state().resets), (status, resets), "the driver sees nothing of it");
    guest.set_status(0);
    assert_eq!(guest.state().halt, Some(Halt::Reset));
    guest.start();
    assert_eq!(queue_1(&mut guest, |_| {}), (0, 0, 64, true));
}

#[test]
fn a_device_that_does_nothing_is_paused_as_well() {
    let mut guest = Guest::new();
    for status in [0, ACKNOWLEDGE | DRIVER, READY] {
        guest.negotiate(VERSION_1);
        if status != READY {
            guest.set_status(0);
            guest.set_status(status);
        }
        assert!(guest.pci.pause(Duration::ZERO));
        guest.pci.resume().unwrap();
        assert!(guest.state().active.is_none());
        assert_eq!(guest.status(), status);
    }
    guest.start();
    assert!(guest.state().active.is_some());
}

#[test]
fn a_pause_that_takes_its_time_is_asked_for_again() {
    let mut guest = Guest::new();
    guest.start();
    guest.state().hangs = true;
    for _ in 0..3 {
        assert!(!guest.pci.pause(Duration::ZERO));
        assert_eq!(guest.pci.resume().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    guest.state().hangs = false;
    assert!(guest.pci.pause(Duration::ZERO));
    guest.pci.resume().unwrap();
    assert!(guest.state().active.is_some());

    // The driver resets it, and the machine is paused before that is complete.
    guest.state().hangs = true;
    guest.set_status(0);
    assert!(!guest.pci.pause(Duration::ZERO));
    assert_eq!(guest.state().halt, Some(Halt::Reset));
    guest.state().hangs = false;
    assert!(guest.pci.pause(Duration::ZERO));
    guest.pci.resume().unwrap();
    assert_eq!(guest.status(), 0);
    assert!(guest.state().active.is_none());
}

#[test]
fn a_device_that_can_not_resume_needs_a_reset() {
    let mut guest = Guest::new();
    guest.start();
    assert!(guest.pci.pause(Duration::ZERO));
    guest.state().fail = true;
    assert_eq!(guest.pci.resume().unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert_eq!(guest.status() & NEEDS_RESET, NEEDS_RESET);
    guest.state().fail = false;
    guest.start();
    assert!(guest.state().active.is_some());
}
