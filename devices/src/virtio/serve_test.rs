use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    pci::ClassCode,
    state::Stateless,
    virtio::{
        device::{DeviceKind, VirtioDevice},
        queue::test_driver::{Driver, FREE, NEXT, WRITE},
        test_machine::{Event, LONG, TestMachine},
    },
};

/// The address to which answered chains are written.
const DATA: u64 = FREE;

/// The behaviour of the test's handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// The device answers with the number of writable bytes.
    Works,
    /// The device is not ready, and wants to be called again after this long.
    Waits(Duration),
    /// The device accepts no chain as a request.
    Refuses,
    Panics,
}

#[derive(Clone, Debug)]
struct Handling {
    mood: Arc<Mutex<Mood>>,
    /// The number of calls, and the reported failures.
    asked: Arc<Mutex<u32>>,
    failed: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, thiserror::Error)]
#[error("that is none")]
struct NoRequest;

impl Handling {
    fn serve<'m>(&mut self, chain: &Chain<'m>, queue: &mut Served<'m>) -> Result<Next, ServeError> {
        *self.asked.lock().unwrap() += 1;
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Works => {
                let written = u32::try_from(chain.writable.len()).unwrap();
                queue.give_back(chain.head, written)?;
                Ok(Next::Chain)
            }
            Mood::Waits(pause) => Ok(Next::Again(pause)),
            Mood::Refuses => Err(ServeError::Request(NoRequest.into())),
            Mood::Panics => panic!("a handler that panics, in a test"),
        }
    }
}

impl Handler for Handling {
    fn thread_name(&self, queue: u16) -> String {
        format!("test{queue}")
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        queue.serve_with(|chain, queue| self.serve(&chain, queue))
    }

    fn failed(&self, queue: u16, error: &ServeError) {
        self.failed.lock().unwrap().push(format!("queue {queue}: {error}"));
    }
}

#[derive(Debug)]
struct TestDevice {
    handling: Handling,
    workers: Workers,
}

impl Stateless for TestDevice {}

impl VirtioDevice for TestDevice {
    fn kind(&self) -> DeviceKind {
        DeviceKind {
            device_type: 42,
            class: ClassCode { base: 0xff, sub: 0, interface: 0 },
            name: "virtio-test",
        }
    }

    fn features(&self) -> u64 {
        RING_FEATURES
    }

    fn queue_sizes(&self) -> &[u16] {
        &[64, 64]
    }

    fn activate(&mut self, activation: Activation) -> io::Result<()> {
        self.workers.start(activation, |_, _| self.handling.clone())
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        self.workers.stop(halt, patience)
    }

    fn reset(&mut self) {
        self.workers.end();
    }
}

fn machine(mood: Mood) -> TestMachine<TestDevice> {
    let handling =
        Handling { mood: Arc::new(Mutex::new(mood)), asked: Arc::default(), failed: Arc::default() };
    TestMachine::new(TestDevice { handling, workers: Workers::default() }, 2)
}

fn set_mood(machine: &TestMachine<TestDevice>, mood: Mood) {
    *machine.device.handling.mood.lock().unwrap() = mood;
}

fn wait_for_call(machine: &TestMachine<TestDevice>, count: u32) {
    let start = Instant::now();
    while *machine.device.handling.asked.lock().unwrap() < count {
        assert!(start.elapsed() < LONG, "it is not asked");
        thread::yield_now();
    }
}

#[test]
fn each_queue_is_served_and_interrupts() {
    let mut machine = machine(Mood::Works);
    for features in [0, 1 << VIRTIO_RING_F_EVENT_IDX] {
        machine.activate(features);
        for round in 0..100 {
            for queue in [0, 1] {
                machine.drivers[usize::from(queue)].set_used_event(round);
                assert_eq!(
                    machine.request(queue, &[(DATA, 7, 0), (DATA, 100 + u32::from(queue), WRITE)]),
                    100 + u32::from(queue)
                );
            }
            machine.pause_and_resume(features);
        }
        machine.device.reset();
    }
}

/// A chain need not be answered before the driver is notified of the ones before it.
#[test]
fn the_driver_is_interrupted_for_many_chains_at_a_time() {
    let mut machine = machine(Mood::Works);
    machine.activate(0);
    let queues = machine.device.stop(Halt::Pause, LONG).unwrap();
    for _ in 0..60 {
        machine.offer(0, &[(DATA, 1, WRITE)]);
    }
    machine.activate_on(queues, 0);
    assert_eq!([machine.event(), machine.event()], [Event::Used(0); 2]);
    assert_eq!(std::iter::from_fn(|| machine.drivers[0].used()).count(), 60);
}

#[test]
fn a_chain_that_has_to_wait_is_tried_again() {
    let mut machine = machine(Mood::Waits(Duration::from_millis(1)));
    machine.activate(0);
    machine.offer(0, &[(DATA, 5, WRITE)]);
    wait_for_call(&machine, 3);
    set_mood(&machine, Mood::Works);
    assert_eq!(machine.event(), Event::Used(0));
    assert_eq!(machine.drivers[0].used().unwrap().1, 5);

    // A kick ends the wait long before its time.
    set_mood(&machine, Mood::Waits(Duration::MAX));
    let asked = *machine.device.handling.asked.lock().unwrap();
    machine.offer(0, &[(DATA, 6, WRITE)]);
    wait_for_call(&machine, asked + 1);
    set_mood(&machine, Mood::Works);
    machine.offer(0, &[(DATA, 7, WRITE)]);
    assert_eq!(machine.event(), Event::Used(0));
    assert_eq!([0; 2].map(|_| machine.drivers[0].used().unwrap().1), [6, 7]);

    // A pause neither loses the chain, nor waits for it.
    set_mood(&machine, Mood::Waits(Duration::MAX));
    let asked = *machine.device.handling.asked.lock().unwrap();
    machine.offer(0, &[(DATA, 8, WRITE)]);
    wait_for_call(&machine, asked + 1);
    let queues = machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!((queues[0].1.next_avail(), queues[0].1.next_used()), (3, 3));
    set_mood(&machine, Mood::Works);
    machine.activate_on(queues, 0);
    assert_eq!(machine.event(), Event::Used(0));
    assert_eq!(machine.drivers[0].used().unwrap().1, 8);
}

#[test]
fn a_queue_that_can_not_be_served_needs_a_reset() {
    let broken_ring: fn(&mut TestMachine<TestDevice>) = |machine| {
        machine.drivers[1].describe_own(3, (DATA, 1, NEXT, 3));
        machine.drivers[1].offer(3);
        machine.kick(1);
    };
    let any_chain: fn(&mut TestMachine<TestDevice>) = |machine| machine.offer(1, &[(DATA, 1, 0)]);
    for (mood, prepare, said) in [
        (Mood::Works, broken_ring, &["queue 1: descriptor chain 3 has no end"][..]),
        (Mood::Refuses, any_chain, &["queue 1: that is none"]),
        (Mood::Panics, any_chain, &[]),
    ] {
        let mut machine = machine(mood);
        machine.activate(0);
        prepare(&mut machine);
        assert_eq!(machine.event(), Event::NeedsReset, "{mood:?}");
        set_mood(&machine, Mood::Works);
        assert_eq!(machine.request(0, &[(DATA, 9, WRITE)]), 9, "the other queue is served");
        let queues = machine.device.stop(Halt::Pause, LONG).unwrap();
        assert_eq!(queues.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0], "{mood:?}");
        assert_eq!(*machine.device.handling.failed.lock().unwrap(), said);
        machine.device.reset();
        machine.activate(0);
        assert_eq!(machine.request(1, &[(DATA, 10, WRITE)]), 10, "a reset mends it");
    }
}

#[test]
fn pauses_are_rounded_up() {
    let expected = [(None, -1), (Some(0), 0), (Some(1), 1), (Some(1_000_000), 1), (Some(1_000_001), 2)];
    for (nanos, expected) in expected {
        assert_eq!(millis(nanos.map(Duration::from_nanos)), expected, "{nanos:?}");
    }
    assert_eq!(millis(Some(Duration::MAX)), i32::MAX);
}

/// The worker may then never find the queue empty, which is when it would otherwise set the flag.
#[test]
fn a_worker_that_finds_chains_at_its_start_lets_the_driver_do_without_kicks() {
    let mut machine = machine(Mood::Waits(Duration::MAX));
    machine.activate(0);
    let queues = machine.device.stop(Halt::Pause, LONG).unwrap();
    let flags = machine.drivers[0].avail_event().0 - 8 * 64 - 4;
    machine.drivers[0].write(flags, &[0, 0]);
    machine.offer(0, &[(DATA, 1, WRITE)]);
    machine.activate_on(queues, 0);
    wait_for_call(&machine, 1);
    assert_eq!(machine.drivers[0].read(flags, 2), [1, 0], "VIRTQ_USED_F_NO_NOTIFY");
}

/// Counts interrupts.
#[derive(Debug, Default)]
struct Interrupts(AtomicU32);

impl Notify for Interrupts {
    fn used(&self, _: u16) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn config_changed(&self) {}

    fn needs_reset(&self) {}
}

#[test]
fn a_batch_or_half_of_the_queue_is_reported_at_once() {
    let driver = Driver::new(16);
    let notify = Arc::new(Interrupts::default());
    let mut queue = Served {
        index: 0,
        rings: Rings::new(driver.queue(), &driver.memory).unwrap(),
        notify: Arc::clone(&notify) as _,
        kick: EventFd::new(0).unwrap(),
        kicks_wanted: false,
        unreported: 0,
        stop: Stop::default(),
    };
    let mut after = |chains: u16, batch| {
        queue.give_back_all((0..chains).map(|head| (head, 0))).unwrap();
        queue.interrupt_after(batch).unwrap();
        notify.0.load(Ordering::Relaxed)
    };
    assert_eq!([(); 8].map(|()| after(1, 64)), [0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!([(); 6].map(|()| after(1, 3)), [1, 1, 2, 2, 2, 3]);
    assert_eq!([(); 4].map(|()| after(5, 64)), [3, 4, 4, 5]);
}
