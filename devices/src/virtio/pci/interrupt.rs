use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, AtomicU16, Ordering},
};

use bitflags::bitflags;
use serde::{Deserialize, Serialize};
use vmm_sys_util::eventfd::EventFd;

use crate::{irq::Line, pci::MsixVectors, virtio::device::Notify};

/// `VIRTIO_MSI_NO_VECTOR`: the event causes no interrupt.
pub(super) const NO_VECTOR: u16 = 0xffff;

bitflags! {
    /// virtio 1.3, "Device Status Field".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Status: u8 {
        const ACKNOWLEDGE = 1;
        const DRIVER = 2;
        const DRIVER_OK = 4;
        const FEATURES_OK = 8;
        const DEVICE_NEEDS_RESET = 64;
        const FAILED = 128;
    }

    /// virtio 1.3, "ISR status capability".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Isr: u8 {
        const QUEUE = 1;
        const CONFIGURATION = 2;
    }
}

/// The interrupts of a device, shared by its registers and its threads: MSI-X, which needs no lock, or INTx.
#[derive(Debug)]
pub(super) struct Interrupts {
    status: AtomicU8,
    config_generation: AtomicU8,
    config_vector: AtomicU16,
    queue_vectors: Box<[AtomicU16]>,
    /// The event of each queue that the device has attached. It is locked while a queue's vector changes.
    events: Mutex<Box<[Option<Arc<EventFd>>]>>,
    msix: Arc<MsixVectors>,
    intx: Mutex<Intx>,
}

/// The part of [`Interrupts`] that is not saved with the PCI function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InterruptState {
    status: u8,
    isr: u8,
    config_generation: u8,
    config_vector: u16,
    queue_vectors: Vec<u16>,
}

impl Interrupts {
    pub(super) fn new(queues: usize, msix: Arc<MsixVectors>, line: Arc<dyn Line>) -> Self {
        Self {
            status: AtomicU8::new(0),
            config_generation: AtomicU8::new(0),
            config_vector: AtomicU16::new(NO_VECTOR),
            queue_vectors: (0..queues).map(|_| AtomicU16::new(NO_VECTOR)).collect(),
            events: Mutex::new((0..queues).map(|_| None).collect()),
            msix,
            intx: Mutex::new(Intx { line, isr: Isr::empty(), enabled: true }),
        }
    }

    pub(super) fn status(&self) -> Status {
        Status::from_bits_truncate(self.status.load(Ordering::SeqCst))
    }

    pub(super) fn add_status(&self, status: Status) {
        self.status.fetch_or(status.bits(), Ordering::SeqCst);
    }

    /// Resets everything that does not belong to PCI. The device's threads have ended by now.
    pub(super) fn reset(&self) {
        self.config_vector.store(NO_VECTOR, Ordering::SeqCst);
        for (queue, _) in (0..).zip(&self.queue_vectors) {
            self.set_queue_vector(queue, NO_VECTOR);
        }
        self.intx().update(|intx| intx.isr = Isr::empty());
        self.status.store(0, Ordering::SeqCst);
    }

    /// Saves the state of a paused device.
    pub(super) fn save(&self) -> InterruptState {
        InterruptState {
            status: self.status().bits(),
            isr: self.intx().isr.bits(),
            config_generation: self.config_generation(),
            config_vector: self.config_vector(),
            queue_vectors: (0..)
                .take(self.queue_vectors.len())
                .map(|queue| self.queue_vector(queue))
                .collect(),
        }
    }

    /// Loads `state`. Returns false if it has impossible vectors or bits.
    pub(super) fn load(&self, state: &InterruptState) -> bool {
        let (Some(status), Some(isr)) = (Status::from_bits(state.status), Isr::from_bits(state.isr)) else {
            return false;
        };
        let mut vectors = state.queue_vectors.iter().chain([&state.config_vector]);
        if state.queue_vectors.len() != self.queue_vectors.len()
            || vectors.any(|&vector| self.existing(vector) != vector)
        {
            return false;
        }
        for (queue, &vector) in (0..).zip(&state.queue_vectors) {
            self.set_queue_vector(queue, vector);
        }
        self.set_config_vector(state.config_vector);
        self.config_generation.store(state.config_generation, Ordering::SeqCst);
        self.status.store(status.bits(), Ordering::SeqCst);
        self.intx().update(|intx| intx.isr = isr);
        true
    }

    pub(super) fn config_generation(&self) -> u8 {
        self.config_generation.load(Ordering::SeqCst)
    }

    pub(super) fn config_vector(&self) -> u16 {
        self.config_vector.load(Ordering::SeqCst)
    }

    pub(super) fn queue_vector(&self, queue: u16) -> u16 {
        let vector = self.queue_vectors.get(usize::from(queue));
        vector.map_or(NO_VECTOR, |vector| vector.load(Ordering::SeqCst))
    }

    pub(super) fn set_config_vector(&self, vector: u16) {
        self.config_vector.store(self.existing(vector), Ordering::SeqCst);
    }

    pub(super) fn set_queue_vector(&self, queue: u16, vector: u16) {
        if let Some(of_queue) = self.queue_vectors.get(usize::from(queue)) {
            let events = self.events();
            let new = self.existing(vector);
            let old = of_queue.swap(new, Ordering::SeqCst);
            if old != new
                && let Some(event) = &events[usize::from(queue)]
            {
                self.msix.detach(old, event);
                self.msix.attach(new, event);
            }
        }
    }

    fn events(&self) -> MutexGuard<'_, Box<[Option<Arc<EventFd>>]>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `vector` if it exists, or else `NO_VECTOR`, which the driver reads back.
    fn existing(&self, vector: u16) -> u16 {
        if usize::from(vector) < self.msix.count() { vector } else { NO_VECTOR }
    }

    /// Reads the ISR status, and clears it.
    pub(super) fn take_isr(&self) -> u8 {
        let mut isr = Isr::empty();
        self.intx().update(|intx| isr = std::mem::take(&mut intx.isr));
        isr.bits()
    }

    /// Returns true if INTx would be asserted if it were enabled.
    pub(super) fn intx_pending(&self) -> bool {
        !self.intx().isr.is_empty()
    }

    /// Enables or disables INTx: it is disabled while MSI-X is enabled, and by PCI's command register.
    pub(super) fn enable_intx(&self, enabled: bool) {
        self.intx().update(|intx| intx.enabled = enabled);
    }

    fn interrupt(&self, vector: u16, cause: Isr) {
        if self.msix.enabled() {
            // `NO_VECTOR` is beyond the end of every table.
            self.msix.signal(vector);
        } else {
            self.intx().update(|intx| intx.isr |= cause);
        }
    }

    fn intx(&self) -> MutexGuard<'_, Intx> {
        self.intx.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notify for Interrupts {
    fn used(&self, queue: u16) {
        self.interrupt(self.queue_vector(queue), Isr::QUEUE);
    }

    fn attach(&self, queue: u16, event: &Arc<EventFd>) {
        self.detach(queue);
        if let Some(of_queue) = self.events().get_mut(usize::from(queue)) {
            self.msix.attach(self.queue_vector(queue), event);
            *of_queue = Some(Arc::clone(event));
        }
    }

    fn detach(&self, queue: u16) {
        if let Some(of_queue) = self.events().get_mut(usize::from(queue))
            && let Some(event) = of_queue.take()
        {
            self.msix.detach(self.queue_vector(queue), &event);
        }
    }

    fn config_changed(&self) {
        self.config_generation.fetch_add(1, Ordering::SeqCst);
        if self.status().contains(Status::DRIVER_OK) {
            self.interrupt(self.config_vector(), Isr::CONFIGURATION);
        }
    }

    fn needs_reset(&self) {
        let bit = Status::DEVICE_NEEDS_RESET;
        let before = Status::from_bits_truncate(self.status.fetch_or(bit.bits(), Ordering::SeqCst));
        if !before.contains(bit) && before.contains(Status::DRIVER_OK) {
            self.interrupt(self.config_vector(), Isr::CONFIGURATION);
        }
    }
}

/// The INTx pin. Cause and level change together under a lock: if a thread asserts the line while the driver reads the ISR status, the line
/// must not stay high without a cause.
#[derive(Debug)]
struct Intx {
    line: Arc<dyn Line>,
    isr: Isr,
    enabled: bool,
}

impl Intx {
    fn asserted(&self) -> bool {
        self.enabled && !self.isr.is_empty()
    }

    /// Makes a change, and drives the line if its level has changed.
    fn update(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.asserted();
        change(self);
        if self.asserted() != before {
            self.line.set(!before);
        }
    }
}

#[cfg(test)]
#[path = "interrupt_test.rs"]
mod tests;
