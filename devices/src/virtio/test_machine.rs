//! A device and the drivers of its queues, without a transport between them.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use virtio_queue::Queue;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{
    device::{Activation, ActiveQueue, Halt, Notify, VirtioDevice},
    queue::test_driver::Driver,
};

/// A timeout long enough for a thread to be scheduled on any machine.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A notification from the device to its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Used(u16),
    ConfigChanged,
    NeedsReset,
}

#[derive(Debug)]
struct Events(Mutex<Sender<Event>>);

impl Notify for Events {
    fn used(&self, queue: u16) {
        self.0.lock().unwrap().send(Event::Used(queue)).unwrap();
    }

    fn config_changed(&self) {
        self.0.lock().unwrap().send(Event::ConfigChanged).unwrap();
    }

    fn needs_reset(&self) {
        self.0.lock().unwrap().send(Event::NeedsReset).unwrap();
    }
}

#[derive(Debug)]
pub(super) struct TestMachine<D: VirtioDevice> {
    pub(super) device: D,
    /// The drivers, by their queues' indices.
    pub(super) drivers: Vec<Driver>,
    kicks: Vec<EventFd>,
    events: Receiver<Event>,
    notify: Arc<Events>,
}

impl<D: VirtioDevice> TestMachine<D> {
    /// A machine whose drivers use the first `queues` queues of `device`, at most eight.
    pub(super) fn new(device: D, queues: u16) -> Self {
        let (sender, events) = channel();
        let first = Driver::new(device.queue_sizes()[0]);
        Self {
            drivers: (0..queues).map(|queue| first.of_queue(queue)).collect(),
            kicks: (0..queues).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect(),
            device,
            events,
            notify: Arc::new(Events(Mutex::new(sender))),
        }
    }

    /// Starts the device on new queues.
    pub(super) fn activate(&mut self, features: u64) {
        self.drivers.iter_mut().for_each(Driver::restart);
        let queues = (0..).zip(&self.drivers).map(|(index, driver)| (index, driver.queue()));
        self.activate_on(queues.collect(), features);
    }

    /// Starts the device on queues that it has returned.
    pub(super) fn activate_on(&mut self, queues: Vec<(u16, Queue)>, features: u64) {
        let queues = queues.into_iter().map(|(index, queue)| {
            let kick = self.kicks[usize::from(index)].try_clone().unwrap();
            ActiveQueue { index, queue, kick }
        });
        let activation = Activation {
            memory: self.drivers[0].memory.clone(),
            features,
            queues: queues.collect(),
            notify: Arc::clone(&self.notify) as Arc<dyn Notify>,
        };
        self.device.activate(activation).unwrap();
    }

    /// Makes a chain of `(address, len, flags)` available.
    pub(super) fn offer(&mut self, queue: u16, buffers: &[(u64, u32, u16)]) {
        self.drivers[usize::from(queue)].chain(buffers);
        self.kick(queue);
    }

    pub(super) fn kick(&self, queue: u16) {
        self.kicks[usize::from(queue)].write(1).unwrap();
    }

    /// Makes a chain available on an idle queue, and returns the used length.
    pub(super) fn request(&mut self, queue: u16, buffers: &[(u64, u32, u16)]) -> u32 {
        self.offer(queue, buffers);
        assert_eq!(self.event(), Event::Used(queue));
        self.drivers[usize::from(queue)].used().unwrap().1
    }

    /// Waits for the device's next notification.
    pub(super) fn event(&self) -> Event {
        self.events.recv_timeout(LONG).unwrap()
    }

    /// The device's next notification, if there is one.
    pub(super) fn try_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Pauses the device, and resumes it.
    pub(super) fn pause_and_resume(&mut self, features: u64) {
        let queues = self.device.stop(Halt::Pause, LONG).unwrap();
        self.activate_on(queues, features);
    }
}
