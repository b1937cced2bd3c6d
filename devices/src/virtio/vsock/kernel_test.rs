use std::{
    io::ErrorKind,
    sync::{Mutex, atomic::AtomicU32},
};

use arch::memory::GuestRam;
use virtio_queue::QueueT;

use super::*;
use crate::{
    state::testing::{load, saved},
    vhost::Vring,
    virtio::{
        queue::test_driver::{FREE, WRITE},
        test_machine::{Event, LONG, TestMachine},
        test_vhost::TestVhost,
    },
};

const CID: u32 = 42;
const VERSION_1: u64 = 1 << 32;
/// The queues.
const RX: u16 = 0;
const TX: u16 = 1;
const EVENT: u16 = 2;

/// The kernel's vhost-vsock, without sockets.
#[derive(Debug)]
struct TestSockets {
    vhost: Arc<TestVhost>,
    ended: AtomicU32,
    /// The reason why connections can't be ended.
    refuses: Mutex<Option<ErrorKind>>,
}

impl Vhost for TestSockets {
    fn features(&self) -> u64 {
        self.vhost.features()
    }

    fn set_up(&self, memory: &GuestRam, features: u64, vrings: &[Vring<'_>]) -> io::Result<()> {
        self.vhost.set_up(memory, features, vrings)
    }

    fn serve(&self, indices: &[usize], served: bool) -> io::Result<()> {
        assert_eq!(indices, [0, 1], "it runs as a whole");
        self.vhost.serve(indices, served)
    }

    fn position(&self, index: usize) -> io::Result<u16> {
        self.vhost.position(index)
    }
}

impl VhostSockets for TestSockets {
    fn cid(&self) -> u32 {
        CID
    }

    fn end_connections(&self) -> io::Result<()> {
        assert!(!self.vhost.served().contains(&true));
        if let Some(kind) = *self.refuses.lock().unwrap() {
            return Err(kind.into());
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Guest {
    machine: TestMachine<KernelVsock>,
    sockets: Arc<TestSockets>,
    host: Arc<KernelHost>,
}

impl Guest {
    /// Features that the kernel knows.
    fn new(features: u64) -> Self {
        let vhost = TestVhost::new(features);
        let sockets = Arc::new(TestSockets { vhost, ended: AtomicU32::new(0), refuses: Mutex::default() });
        let host = Arc::new(KernelHost::new(Arc::clone(&sockets) as Arc<dyn VhostSockets>));
        let machine = TestMachine::new(KernelVsock::new(Arc::clone(&host)), 3);
        Self { machine, sockets, host }
    }

    /// A driver has started the device.
    fn running() -> Self {
        let mut guest = Self::new(FEATURES | VERSION_1);
        guest.machine.activate(FEATURES | VERSION_1);
        guest
    }

    fn served(&self) -> Vec<bool> {
        self.sockets.vhost.served()
    }

    fn ended(&self) -> u32 {
        self.sockets.ended.load(Ordering::SeqCst)
    }

    /// The driver provides this many buffers for events.
    fn post_events(&mut self, count: u64) {
        (0..count).for_each(|number| self.machine.offer(EVENT, &[(FREE + number * 4, 4, WRITE)]));
    }

    /// The event that arrived, which is the only one.
    fn transport_reset(&mut self) {
        assert_eq!(self.machine.event(), Event::Used(EVENT));
        let (head, len) = self.machine.drivers[usize::from(EVENT)].used().unwrap();
        assert_eq!((head, len), (0, 4));
        assert_eq!(self.machine.drivers[usize::from(EVENT)].read(FREE, 4), [0; 4]);
        assert_eq!(self.machine.drivers[usize::from(EVENT)].used(), None);
    }
}

#[test]
fn a_driver_finds_its_address_and_the_kernels_features() {
    let features = |known| Guest::new(known).machine.device.features();
    assert_eq!(features(u64::MAX), FEATURES);
    for missing in [SEQPACKET, RING_FEATURES] {
        assert_eq!(features(FEATURES & !missing), FEATURES & !missing);
    }
    let guest = Guest::new(FEATURES);
    let mut config = [0xff; 8];
    guest.machine.device.read_config(0, &mut config);
    assert_eq!((guest.machine.device.kind().device_type, config), (19, [42, 0, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn the_kernel_serves_packets_and_looks_for_earlier_ones() {
    let guest = Guest::running();
    assert_eq!(guest.served(), [true, true]);
    assert_eq!(*guest.sockets.vhost.driver_features.lock().unwrap(), FEATURES | VERSION_1);
    for queue in [RX, TX] {
        guest.sockets.vhost.with(queue.into(), |vring| {
            assert_eq!(vring.kick.read().unwrap(), 1);
            vring.call.write(1).unwrap();
        });
        assert_eq!(guest.machine.event(), Event::Used(queue));
    }
}

#[test]
fn a_pause_stops_the_kernel_and_keeps_connections() {
    let mut guest = Guest::running();
    guest.machine.drivers[usize::from(RX)].set_used_index(3);
    guest.sockets.vhost.with(0, |vring| vring.position = 3);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(guest.served(), [false, false]);
    let positions: Vec<_> =
        queues.iter().map(|(index, queue)| (*index, queue.next_avail(), queue.next_used())).collect();
    assert_eq!(positions, [(RX, 3, 3), (TX, 0, 0), (EVENT, 0, 0)]);
    guest.machine.activate_on(queues, FEATURES);
    assert_eq!((guest.served(), guest.ended()), (vec![true, true], 0));
    guest.sockets.vhost.with(0, |vring| assert_eq!(vring.position, 3));
    assert_eq!(guest.machine.try_event(), None);
}

#[test]
fn a_reset_ends_connections_once() {
    let mut guest = Guest::running();
    for ended in 1..=2 {
        guest.machine.device.stop(Halt::Reset, LONG).unwrap();
        guest.machine.device.reset();
        assert_eq!((guest.served(), guest.ended()), (vec![false, false], ended));
        // There are no connections to end.
        guest.machine.device.reset();
        assert_eq!(guest.ended(), ended);
        guest.machine.activate(FEATURES);
        assert_eq!((guest.served(), guest.ended()), (vec![true, true], ended));
    }
}

/// Another process may take the address in between.
#[test]
fn connections_that_could_not_be_ended_are_ended_for_the_next_driver() {
    let mut guest = Guest::running();
    *guest.sockets.refuses.lock().unwrap() = Some(ErrorKind::AddrInUse);
    guest.machine.device.reset();
    let activate = |guest: &mut Guest| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| guest.machine.activate(FEATURES)))
    };
    assert!(activate(&mut guest).is_err(), "activating fails");
    assert_eq!(guest.served(), [false, false]);
    *guest.sockets.refuses.lock().unwrap() = None;
    activate(&mut guest).unwrap();
    assert_eq!((guest.served(), guest.ended()), (vec![true, true], 1));
}

#[test]
fn a_ring_that_the_kernel_can_not_make_sense_of_needs_a_reset() {
    let mut guest = Guest::running();
    guest.sockets.vhost.with(1, |vring| vring.error.write(1)).unwrap();
    assert_eq!(guest.machine.event(), Event::NeedsReset);
    let queues = guest.machine.device.stop(Halt::Reset, LONG).unwrap();
    assert_eq!(queues.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [RX, EVENT]);
    guest.machine.device.reset();
    guest.machine.activate(FEATURES);
    assert_eq!(guest.served(), [true, true]);
}

/// A driver need not enable all queues.
#[test]
fn the_kernel_serves_both_queues_or_none() {
    let mut guest = Guest::running();
    for kept in [RX, TX, EVENT] {
        let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
        guest.machine.device.reset();
        let one: Vec<_> = queues.into_iter().filter(|(index, _)| *index == kept).collect();
        guest.machine.activate_on(one, 0);
        assert_eq!(guest.served(), [false, false]);
        let stopped = guest.machine.device.stop(Halt::Reset, LONG).unwrap();
        assert_eq!(stopped.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [kept]);
        guest.machine.device.reset();
        guest.machine.activate(0);
    }
}

#[test]
fn a_driver_in_another_machine_learns_that_its_connections_are_gone() {
    let mut guest = Guest::running();
    guest.post_events(8);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(guest.machine.try_event(), None);
    let state = saved(&guest.machine.device);
    guest.machine.device = KernelVsock::new(Arc::clone(&guest.host));
    load(&mut guest.machine.device, &state).unwrap();
    guest.machine.activate_on(queues, FEATURES);
    guest.transport_reset();
    // It is not sent again, and the other buffers are left.
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(queues.iter().map(|(_, queue)| queue.next_avail()).collect::<Vec<_>>(), [0, 0, 1]);
    guest.machine.activate_on(queues, FEATURES);
    guest.machine.kick(EVENT);
    guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(guest.machine.try_event(), None);
    assert!(load(&mut guest.machine.device, &serde_json::json!(1)).is_err());
}

/// The event waits for a buffer, but not for another driver.
#[test]
fn the_event_waits_for_a_buffer() {
    let mut guest = Guest::running();
    for is_reset in [false, true] {
        let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
        load(&mut guest.machine.device, &serde_json::Value::Null).unwrap();
        guest.machine.activate_on(queues, FEATURES);
        if is_reset {
            guest.machine.device.reset();
            guest.machine.activate(FEATURES);
            guest.post_events(1);
            guest.machine.device.stop(Halt::Pause, LONG).unwrap();
            assert_eq!(guest.machine.try_event(), None);
        } else {
            guest.post_events(1);
            guest.transport_reset();
        }
    }
}
