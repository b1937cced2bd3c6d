//! virtio 1.3, "Traditional Memory Balloon Device": memory that the guest returns to the host.
//!
//! Pages that the driver puts into the balloon, or reports as free, are given to a [`Reclaim`]. They read as zeros when the driver next
//! uses them, which it may do at any time, without the device's help.

mod control;
mod work;

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use virtio_queue::Queue;
use zerocopy::{Immutable, IntoBytes, little_endian::U32};

pub use self::control::{Control, Reclaim};
use self::work::{Job, Work};
use super::{
    device::{Activation, DeviceKind, Halt, VirtioDevice},
    serve::{RING_FEATURES, Workers},
};
use crate::{
    pci::ClassCode,
    registers,
    state::{StateError, Stateful},
};

/// A balloon, which has no PCI class.
const KIND: DeviceKind = DeviceKind {
    device_type: 5,
    class: ClassCode { base: 0xff, sub: 0, interface: 0 },
    name: "virtio-balloon",
};

/// virtio 1.3, "Traditional Memory Balloon Device", "Feature bits".
const DEFLATE_ON_OOM: u64 = 1 << 2;
const PAGE_REPORTING: u64 = 1 << 5;

/// The queues: to inflate, to deflate, and to report free pages. The last one has number 4 in the specification; Linux gives it the next
/// number after the existing queues, which is 2 without statistics and hints. Both numbers work.
const QUEUE_SIZES: [u16; 5] = [128, 128, 128, 0, 128];

/// A virtio-balloon device.
#[derive(Debug)]
pub struct Balloon {
    control: Arc<Control>,
    reclaim: Arc<dyn Reclaim>,
    /// The target size, which the driver reads.
    num_pages: u32,
    workers: Workers,
}

/// The driver reads the first field and writes the second.
#[derive(Debug, Immutable, IntoBytes)]
#[repr(C)]
struct Config {
    num_pages: U32,
    actual: U32,
}

/// A balloon's state, without its transport's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    num_pages: u32,
    actual: u32,
}

impl Balloon {
    /// Makes a device that gives memory to `reclaim`.
    #[must_use]
    pub fn new(control: Arc<Control>, reclaim: Arc<dyn Reclaim>) -> Self {
        let num_pages = control.target.load(Ordering::Relaxed);
        Self { control, reclaim, num_pages, workers: Workers::default() }
    }
}

impl VirtioDevice for Balloon {
    fn kind(&self) -> DeviceKind {
        KIND
    }

    fn features(&self) -> u64 {
        RING_FEATURES | DEFLATE_ON_OOM | PAGE_REPORTING
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let actual = self.control.actual.load(Ordering::Relaxed);
        let config = Config { num_pages: self.num_pages.into(), actual: actual.into() };
        data.fill(0);
        registers::read(config.as_bytes(), offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if let (4, &[a, b, c, d]) = (offset, data) {
            self.control.actual.store(u32::from_le_bytes([a, b, c, d]), Ordering::Relaxed);
        }
    }

    fn measure(&mut self) -> io::Result<bool> {
        let target = self.control.target.load(Ordering::Relaxed);
        Ok(std::mem::replace(&mut self.num_pages, target) != target)
    }

    fn activate(&mut self, activation: Activation) -> io::Result<()> {
        let memory = activation.memory.clone();
        let (control, reclaim) = (&self.control, &self.reclaim);
        self.workers.start(activation, |queue, _| {
            Work::new(Job::of(queue), memory.clone(), Arc::clone(reclaim), Arc::clone(control))
        })
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        self.workers.stop(halt, patience)
    }

    /// The next driver begins with an empty balloon.
    fn reset(&mut self) {
        self.workers.end();
        self.control.actual.store(0, Ordering::Relaxed);
    }
}

impl Stateful for Balloon {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State { num_pages: self.num_pages, actual: self.control.actual.load(Ordering::Relaxed) })
    }

    fn load(&mut self, State { num_pages, actual }: State) -> Result<(), StateError> {
        self.num_pages = num_pages;
        self.control.target.store(num_pages, Ordering::Relaxed);
        self.control.actual.store(actual, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
#[path = "balloon_test.rs"]
mod tests;
