//! virtio 1.3, "Traditional Memory Balloon Device": memory that the guest gives back to the host.
//!
//! Pages that the driver puts into the balloon, or reports as free, are given to a [`Reclaim`]. They read as zeros when the
//! driver next uses them, which it may do at any time: taking them out again is not for the device to do.

mod work;

use std::{
    fmt::Debug,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use virtio_queue::Queue;
use vm_memory::VolatileSlice;
use zerocopy::{Immutable, IntoBytes, little_endian::U32};

use self::work::{Job, Work};
use super::{
    device::{Activation, Halt, Kind, VirtioDevice},
    once::Once,
    serve::{RING_FEATURES, Workers},
};
use crate::{pci::ClassCode, registers};

/// A balloon; for PCI, of no class.
const KIND: Kind =
    Kind { device_type: 5, class: ClassCode { base: 0xff, sub: 0, interface: 0 }, name: "virtio-balloon" };

/// virtio 1.3, "Traditional Memory Balloon Device", "Feature bits".
const DEFLATE_ON_OOM: u64 = 1 << 2;
const PAGE_REPORTING: u64 = 1 << 5;

/// The queues: to inflate, to deflate, and to report free pages. The last has number 4 in the specification; Linux gives it
/// the next number after the queues that there are, which is 2 without statistics and hints. Both work.
const QUEUE_SIZES: [u16; 5] = [128, 128, 128, 0, 128];

/// The balloon counts in pages of this size, whatever the guest's or the host's are.
const PAGE_SHIFT: u32 = 12;

/// The host's side of guest memory.
pub trait Reclaim: Send + Sync + Debug {
    /// Takes back the pages that lie whole in `memory`. They read as zeros, or as they were.
    ///
    /// # Errors
    ///
    /// The host can't.
    fn reclaim(&self, memory: &VolatileSlice<'_>) -> io::Result<()>;
}

/// A balloon as its user sees it. It outlives resets.
#[derive(Debug, Default)]
pub struct Control {
    /// Pages that the guest is asked to put in, and that it has put in.
    target: AtomicU32,
    actual: AtomicU32,
    /// Bytes that the host has taken back, again and again.
    reclaimed: AtomicU64,
    host_refuses: Once,
    broken_queue: Once,
}

/// A virtio-balloon device.
#[derive(Debug)]
pub struct Balloon {
    control: Arc<Control>,
    reclaim: Arc<dyn Reclaim>,
    /// The target that the driver reads.
    num_pages: u32,
    workers: Workers,
}

/// The driver reads the first and writes the second field.
#[derive(Debug, Immutable, IntoBytes)]
#[repr(C)]
struct Config {
    num_pages: U32,
    actual: U32,
}

/// A balloon's own state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    num_pages: u32,
    actual: u32,
}

impl Control {
    /// Asks the guest to give up `bytes` of its memory, in all. It hears of it when the device is next measured.
    pub fn set_target(&self, bytes: u64) {
        self.target.store(u32::try_from(bytes >> PAGE_SHIFT).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Returns how many bytes the guest has given up, as it says itself.
    #[must_use]
    pub fn actual(&self) -> u64 {
        u64::from(self.actual.load(Ordering::Relaxed)) << PAGE_SHIFT
    }

    /// Returns how many bytes the host has taken back since nvmm started. The same page may have been among them often.
    #[must_use]
    pub fn reclaimed(&self) -> u64 {
        self.reclaimed.load(Ordering::Relaxed)
    }
}

impl Balloon {
    /// Makes a device that gives memory to `reclaim`. It works once it is activated.
    #[must_use]
    pub fn new(control: Arc<Control>, reclaim: Arc<dyn Reclaim>) -> Self {
        let num_pages = control.target.load(Ordering::Relaxed);
        Self { control, reclaim, num_pages, workers: Workers::default() }
    }
}

impl VirtioDevice for Balloon {
    fn kind(&self) -> Kind {
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

    fn save(&self) -> serde_json::Value {
        json!(State { num_pages: self.num_pages, actual: self.control.actual.load(Ordering::Relaxed) })
    }

    fn load(&mut self, state: &serde_json::Value) -> Result<(), serde_json::Error> {
        let State { num_pages, actual } = State::deserialize(state)?;
        self.num_pages = num_pages;
        self.control.target.store(num_pages, Ordering::Relaxed);
        self.control.actual.store(actual, Ordering::Relaxed);
        Ok(())
    }

    /// The next driver begins with an empty balloon.
    fn reset(&mut self) {
        self.workers.end();
        self.control.actual.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "balloon_test.rs"]
mod tests;
