//! The two ways in which a device interrupts: a line, and a message. Only the machine knows what is behind them.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod nobody;

use std::{
    fmt::Debug,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use vmm_sys_util::eventfd::EventFd;

/// A level-triggered or edge-triggered input of the interrupt controller (ISA, PCI INTx, SCI).
pub trait Line: Send + Sync + Debug {
    /// Drives the line. Setting the level that it has is harmless.
    fn set(&self, high: bool);

    /// Drives the line high and low again: an edge.
    fn pulse(&self) {
        self.set(true);
        self.set(false);
    }
}

/// A message-signalled interrupt: the address that it writes to, and the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsiMessage {
    /// The address, which selects the local APIC.
    pub address: u64,
    /// The data: vector and delivery mode.
    pub data: u32,
}

/// One message-signalled interrupt: one per MSI-X vector.
pub trait Msi: Send + Sync + Debug {
    /// Sets the message for [`Msi::signal`] from now on.
    fn set_message(&self, message: MsiMessage);

    /// Sends the message. Never blocks.
    fn signal(&self);

    /// Makes the kernel send the message whenever `event` is written to, until [`Msi::detach`]. The kernel consumes such a write, and other
    /// readers of the event don't see it. Writes from before this call may be seen by both.
    ///
    /// # Errors
    ///
    /// The kernel can't do this. Nothing changes.
    fn attach(&self, event: &EventFd) -> io::Result<()>;

    /// Ends [`Msi::attach`]: writes stay in `event` again.
    fn detach(&self, event: &EventFd);
}

/// A line that several devices drive through inputs of their own: it is high while any input is.
#[derive(Debug)]
pub struct SharedLine {
    line: Arc<dyn Line>,
    /// The number of inputs that are high.
    raised: Mutex<usize>,
}

impl SharedLine {
    /// Makes a shared line that drives `line`, which nothing else may drive.
    #[must_use]
    pub fn new(line: Arc<dyn Line>) -> Arc<Self> {
        Arc::new(Self { line, raised: Mutex::new(0) })
    }

    /// Adds an input, which is low. Dropping it lowers it.
    #[must_use]
    pub fn input(self: &Arc<Self>) -> Arc<dyn Line> {
        Arc::new(Input { shared: Arc::clone(self), high: AtomicBool::new(false) })
    }
}

#[derive(Debug)]
struct Input {
    shared: Arc<SharedLine>,
    /// Changed only while [`SharedLine::raised`] is locked.
    high: AtomicBool,
}

impl Line for Input {
    fn set(&self, high: bool) {
        // Locked while the line is driven, so that the last thread to change it drives it last.
        let mut raised = self.shared.raised.lock().unwrap_or_else(PoisonError::into_inner);
        if self.high.swap(high, Ordering::Relaxed) == high {
            return;
        }
        let before = *raised;
        *raised = if high { before + 1 } else { before - 1 };
        if before == 0 || *raised == 0 {
            self.shared.line.set(high);
        }
    }

    /// Holds the lock, so that pulses of two inputs are two edges, and not one longer pulse.
    fn pulse(&self) {
        let raised = self.shared.raised.lock().unwrap_or_else(PoisonError::into_inner);
        if *raised == 0 {
            self.shared.line.pulse();
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
#[path = "irq_test.rs"]
mod tests;
