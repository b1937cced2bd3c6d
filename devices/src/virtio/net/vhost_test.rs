use std::sync::atomic::Ordering;

use virtio_queue::QueueT;
use vm_memory::{Address, GuestMemoryBackend};

use super::*;
use crate::{
    net::Offloads,
    virtio::{
        device::{Halt, VirtioDevice},
        net::{
            features::{CTRL_RX, CTRL_VQ, MQ, MRG_RXBUF, VERSION_1},
            test_guest::{Guest, RX, TX, options},
            test_network::TestNetwork,
        },
        serve::RING_FEATURES,
        test_machine::{Event, LONG},
        test_vhost::TestVhost,
    },
};

const KERNELS: u64 = MRG_RXBUF | RING_FEATURES;

fn guest(pairs: u16, vhost_features: u64) -> Guest {
    let mut network = TestNetwork::new(pairs, Offloads::all());
    network.vhost = (0..pairs).map(|_| TestVhost::new(vhost_features)).collect();
    Guest::on(network, super::super::NetOptions { pairs, ..options() }, 2 * pairs + 1)
}

#[test]
fn features_of_queues_are_offered_if_the_kernel_supports_them() {
    let features = |known| guest(1, known).machine.device.features();
    let all = features(KERNELS);
    assert_eq!(all & KERNELS, KERNELS);
    for missing in [MRG_RXBUF, RING_FEATURES] {
        assert_eq!(features(KERNELS & !missing), all & !missing);
    }
}

#[test]
fn the_kernel_serves_the_frames_and_nvmm_the_commands() {
    let mut guest = guest(2, KERNELS);
    guest.restart(MRG_RXBUF | CTRL_VQ | CTRL_RX | MQ);
    let network = Arc::clone(&guest.network);
    for vhost in &network.vhost {
        assert_eq!(vhost.served(), [true, true]);
        assert_eq!(*vhost.driver_features.lock().unwrap() & KERNELS, MRG_RXBUF);
    }
    // The kernel watches kicks, and must check for chains that were made available before it started.
    network.vhost[0].with(1, |queue| assert_eq!(queue.kick.read().unwrap(), 1));
    guest.machine.kick(TX);
    network.vhost[0].with(1, |queue| assert_eq!(queue.kick.read().unwrap(), 1));
    // Promiscuous mode.
    assert_eq!(guest.command(4, &[0, 0, 1]), 0);
    assert_eq!(guest.machine.event(), Event::Used(4));
    // Two pairs: only the kernel must be informed.
    assert_eq!(guest.command(4, &[4, 0, 2, 0]), 0);
    assert_eq!(*network.used_ports.lock().unwrap(), [1, 2]);
    assert_eq!(guest.receives(), 0);
}

/// The test's transport attaches no events.
#[test]
fn calls_that_are_left_become_interrupts() {
    let mut guest = guest(2, KERNELS);
    guest.restart(MQ | CTRL_VQ);
    for (pair, index, queue) in [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)] {
        guest.network.vhost[pair].with(index, |queue| queue.call.write(1)).unwrap();
        assert_eq!(guest.machine.event(), Event::Used(queue));
    }
}

#[test]
fn positions_come_back_and_calls_are_not_lost() {
    let mut guest = guest(1, KERNELS);
    guest.restart(0);
    let network = Arc::clone(&guest.network);
    let vhost = &network.vhost[0];
    // The kernel has taken three chains, and returned them.
    guest.machine.drivers[usize::from(RX)].set_used_index(3);
    vhost.with(0, |queue| queue.position = 3);
    vhost.with(0, |queue| queue.call.write(1)).unwrap();
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(guest.machine.event(), Event::Used(RX));
    assert_eq!(vhost.served(), [false, false]);
    let positions: Vec<_> =
        queues.iter().map(|(index, queue)| (*index, queue.next_avail(), queue.next_used())).collect();
    assert_eq!(positions, [(RX, 3, 3), (TX, 0, 0), (2, 0, 0)]);
    guest.machine.activate_on(queues, VERSION_1);
    assert_eq!(vhost.served(), [true, true]);
    vhost.with(0, |queue| assert_eq!(queue.position, 3));
    guest.machine.device.reset();
    assert_eq!(vhost.served(), [false, false]);
}

/// Notes are switched on when a migration begins, and off when it ends.
#[test]
fn the_kernel_notes_its_writes_from_the_next_resume_on() {
    let mut guest = guest(1, KERNELS);
    guest.restart(0);
    let (network, memory) = (Arc::clone(&guest.network), guest.machine.drivers[0].memory.clone());
    let notes = || network.vhost[0].notes.load(Ordering::SeqCst);
    assert!(!notes());
    memory.written().switch_on(memory.last_addr().raw_value() + 1);
    guest.machine.pause_and_resume(VERSION_1);
    assert!(notes());
    memory.written().switch_off();
    guest.machine.pause_and_resume(VERSION_1);
    assert!(!notes());
}

#[test]
fn a_queue_that_the_kernel_can_not_make_sense_of_needs_a_reset() {
    let mut guest = guest(1, KERNELS);
    guest.restart(0);
    guest.network.vhost[0].with(1, |queue| queue.error.write(1)).unwrap();
    assert_eq!(guest.machine.event(), Event::NeedsReset);
    let queues = guest.machine.device.stop(Halt::Reset, LONG).unwrap();
    assert_eq!(queues.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [RX, 2]);
    guest.restart(0);
    assert_eq!(guest.network.vhost[0].served(), [true, true]);
    assert_eq!(guest.machine.try_event(), None);
}

#[test]
fn a_kernel_that_refuses_leaves_nothing_behind() {
    let mut guest = guest(2, KERNELS);
    guest.network.vhost[1].refuses.store(libc::EFAULT, Ordering::Relaxed);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| guest.restart(MQ | CTRL_VQ)));
    assert!(refused.is_err(), "activating fails");
    for vhost in &guest.network.vhost {
        assert!(!vhost.served().contains(&true));
    }
    guest.network.vhost[1].refuses.store(0, Ordering::Relaxed);
    guest.restart(MQ | CTRL_VQ);
    assert_eq!(guest.network.vhost[1].served(), [true, true]);
}
