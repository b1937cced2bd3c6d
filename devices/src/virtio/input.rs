//! virtio 1.3, "Input Device": a tablet like QEMU's virtio-tablet. Its driver gets the position of the pointer on the screen, and the
//! pressed buttons.

mod config;
mod report;
mod reports;
mod work;

use std::{io, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use virtio_queue::Queue;

pub use self::reports::Reports;
use self::{config::Select, work::Work};
use super::{
    device::{Activation, DeviceKind, Halt, VirtioDevice},
    serve::{RING_FEATURES, Workers},
};
use crate::{
    input::{Pointer, Pointing},
    pci::ClassCode,
    registers,
    state::{StateError, Stateful},
};

/// An input device: in PCI, too, of the class "other".
const KIND: DeviceKind = DeviceKind {
    device_type: 18,
    class: ClassCode { base: 0x09, sub: 0x80, interface: 0 },
    name: "virtio-tablet",
};

/// The queues: for events, and for statuses such as lights.
const QUEUE_SIZES: [u16; 2] = [64; 2];

/// A virtio-input device that is a tablet.
#[derive(Debug)]
pub struct Tablet {
    reports: Arc<Reports>,
    select: Select,
    workers: Workers,
}

/// A tablet's state, without its transport's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    select: Select,
    told: Option<Pointer>,
}

impl Tablet {
    /// Makes a device that passes `reports` to its driver.
    #[must_use]
    pub fn new(reports: Arc<Reports>) -> Self {
        reports.restore(None);
        Self { reports, select: Select::default(), workers: Workers::default() }
    }
}

impl VirtioDevice for Tablet {
    fn kind(&self) -> DeviceKind {
        KIND
    }

    fn features(&self) -> u64 {
        RING_FEATURES
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        registers::read(&self.select.config(), offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        self.select.write(offset, data);
    }

    /// A new driver gets only the newest report; one that continues after a pause gets all that wait.
    fn features_agreed(&mut self, _features: u64) {
        self.reports.keep_newest();
    }

    fn activate(&mut self, activation: Activation) -> io::Result<()> {
        self.workers.start_one(activation, Work::new(Arc::clone(&self.reports)))
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        self.workers.stop(halt, patience)
    }

    fn reset(&mut self) {
        self.workers.end();
        self.select = Select::default();
        self.reports.restore(None);
    }
}

impl Stateful for Tablet {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State { select: self.select, told: self.reports.told() })
    }

    /// Loads a state, with all buttons released: whoever pressed them is not there any more.
    fn load(&mut self, State { select, told }: State) -> Result<(), StateError> {
        self.select = select;
        self.reports.restore(told);
        if let Some(pointer) = told.filter(|pointer| pointer.buttons != 0) {
            self.reports.pointer(Pointer { buttons: 0, ..pointer });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "input_test.rs"]
mod tests;
