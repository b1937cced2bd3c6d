use std::time::Duration;

use serde_json::{Value, json};

use super::{super::super::test_guest::*, *};
use crate::{
    pci::PciFunction,
    state::{SaveState, StateError, testing},
};

/// A guest in the middle of its work: one queue is not empty, an interrupt is masked, and another pending in the ISR.
fn busy() -> Guest {
    let mut guest = Guest::new();
    guest.start();
    let notify = guest.state().active.as_ref().unwrap().notify.clone();
    notify.used(0);
    guest.enable_msix();
    guest.write(MSIX_TABLE + 16 + 12, 1, 4);
    notify.used(0);
    notify.config_changed();
    let _sent = guest.take_signals();
    guest.write(QUEUE_SELECT, 1, 2);
    guest.write(DEVICE, 0x55, 1);
    let mut state = guest.state();
    let queue = &mut state.active.as_mut().unwrap().queues[1].queue;
    queue.set_next_avail(7);
    queue.set_next_used(0xffff);
    drop(state);
    guest
}

/// Everything that the driver can read.
fn seen(guest: &mut Guest) -> Vec<u64> {
    let mut seen = Vec::new();
    for queue in 0..2 {
        guest.write(QUEUE_SELECT, queue, 2);
        seen.extend((0..56).map(|offset| guest.read(offset, 1)));
    }
    seen.extend((0..48).map(|offset| guest.read(MSIX_TABLE + offset, 1)));
    seen.push(guest.read(0x5000, 8));
    seen.push(guest.read(DEVICE, 8));
    let msix = guest.capability(0x11, None);
    seen.push(guest.config_read(msix, 4).into());
    seen
}

fn saved(guest: &mut Guest) -> Value {
    assert!(guest.pci.pause(Duration::ZERO));
    testing::saved(&guest.pci)
}

fn load(guest: &mut Guest, state: &Value) -> Result<(), String> {
    testing::load(&mut guest.pci, state)
}

#[test]
fn a_state_is_taken_up_by_another_device() {
    let mut first = busy();
    assert!(matches!(first.pci.save_state(), Err(StateError::Running)));
    let state = saved(&mut first);
    let mut second = Guest::new();
    load(&mut second, &state).unwrap();
    assert_eq!(testing::saved(&second.pci), state);
    assert!(second.state().active.is_none());
    second.pci.resume().unwrap();
    first.pci.resume().unwrap();
    {
        let state = second.state();
        let active = state.active.as_ref().unwrap();
        assert_eq!(active.features, FEATURES | VERSION_1);
        let positions = active
            .queues
            .iter()
            .map(|queue| (queue.index, queue.queue.next_avail(), queue.queue.next_used()));
        assert_eq!(positions.collect::<Vec<_>>(), [(0, 0, 0), (1, 7, 0xffff)]);
        assert!(active.queues.iter().all(|queue| queue.queue.event_idx_enabled()));
    }
    assert_eq!(seen(&mut second), seen(&mut first));
    // The masked interrupt is sent when it is unmasked, and the other when MSI-X is disabled.
    for guest in [&mut first, &mut second] {
        guest.write(MSIX_TABLE + 16 + 12, 0, 4);
        assert_eq!(guest.take_signals(), [0, 1, 0]);
        let msix = guest.capability(0x11, None);
        let _effect = guest.config_write(msix + 2, 0, 2);
        assert!(guest.line.high());
        assert_eq!(guest.read(ISR, 1), 1);
        assert!(!guest.line.high());
        guest.start();
    }
}

#[test]
fn an_idle_device_has_a_state_as_well() {
    let mut first = Guest::new();
    first.negotiate(VERSION_1);
    first.set_up_queue(1, 32, [0x1000, 0x2000, 0x3000]);
    let state = saved(&mut first);
    let mut second = Guest::new();
    load(&mut second, &state).unwrap();
    second.pci.resume().unwrap();
    assert_eq!(seen(&mut second), seen(&mut first));
    second.add_status(DRIVER_OK);
    assert_eq!(second.state().active.as_ref().unwrap().queues.len(), 1);
}

#[test]
fn a_state_that_makes_no_sense_is_refused() {
    let good = saved(&mut busy());
    let refused = |path: &str, value: Value| {
        let mut state = good.clone();
        *state.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        load(&mut Guest::new(), &state).unwrap_err()
    };
    let shape = "its queues or interrupt vectors are not those of this virtio-fake";
    let nowhere = "it makes no sense: an enabled queue is not in memory";
    let too_early = "it makes no sense: a queue is served before its driver enabled it";
    for (path, value, expected) in [
        ("/common/device", json!("virtio-blk"), "this is the state of a virtio-blk, not of a virtio-fake"),
        (
            "/common/driver_features",
            json!(1_u64 << 63 | 1 << 32),
            "its driver uses features 0x8000000100000000, which this virtio-fake does not all offer",
        ),
        (
            "/common/driver_features",
            json!(0),
            "its driver uses features 0x0, which this virtio-fake does not all offer",
        ),
        ("/common/queues", json!([]), shape),
        ("/common/queues/0/max_size", json!(512), shape),
        ("/common/queues/0/size", json!(3), nowhere),
        ("/common/queues/0/size", json!(512), nowhere),
        ("/common/queues/1/descriptor_area", json!(u64::MAX - 15), nowhere),
        ("/common/queues/1/enabled", json!(false), too_early),
        ("/common/served", json!({ "2": { "next_avail": 0, "next_used": 0 } }), too_early),
        ("/common/interrupts/status", json!(3), too_early),
        ("/common/interrupts/status", json!(0xff), shape),
        ("/common/interrupts/isr", json!(4), shape),
        ("/common/interrupts/config_vector", json!(3), shape),
        ("/common/interrupts/queue_vectors", json!([1]), shape),
        ("/common/interrupts/queue_vectors/0", json!(9), shape),
        ("/msix/vectors", json!([]), shape),
        ("/common/own/state", json!({ "odd": 1 }), "the part of the virtio-fake makes no sense"),
    ] {
        assert_eq!(refused(path, value.clone()), expected, "{path} {value}");
    }
    assert!(refused("/common/queue_select", json!(65536)).contains("65536"));
    assert!(refused("/msix/vectors/0/masked", json!("on")).contains("on"));
    assert!(refused("/config", json!("00".repeat(256))).contains("another pci function"));
    let mut in_use = Guest::new();
    in_use.set_status(ACKNOWLEDGE);
    assert_eq!(load(&mut in_use, &good).unwrap_err(), "the virtio-fake already has a driver");
}

/// A device that asserts that its queues lie in memory.
#[test]
fn damaged_states_do_no_harm() {
    let mut first = busy();
    assert!(first.pci.pause(Duration::ZERO));
    let state = first.pci.save_state().unwrap();
    testing::damage(
        &state,
        || Guest::new().pci,
        |pci| {
            let resumed = pci.resume().is_ok();
            (0..0x100).step_by(4).for_each(|offset| pci.config_read(offset, &mut [0; 4]));
            (0..0x6000).step_by(8).for_each(|offset| pci.bar_read(0, offset, &mut [0; 8]));
            assert!(pci.doorbells().len() <= 2);
            assert!(!resumed || pci.pause(Duration::ZERO));
            let _ = pci.bar_write(0, DEVICE_STATUS, &[0]);
            let mut status = [0xff];
            pci.bar_read(0, DEVICE_STATUS, &mut status);
            assert_eq!(status, [0], "it can be reset");
        },
    );
}
