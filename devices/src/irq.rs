//! The two ways a device interrupts: a line, and a message. Only the machine knows what is behind them.

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

/// The value that a message-signalled interrupt writes, and its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsiMessage {
    /// Address: names the local APIC.
    pub address: u64,
    /// Data: vector and delivery mode.
    pub data: u32,
}

/// One message-signalled interrupt: one per MSI-X vector.
pub trait Msi: Send + Sync + Debug {
    /// Sets what [`Msi::signal`] sends from now on.
    fn set_message(&self, message: MsiMessage);

    /// Sends the message. Never blocks.
    fn signal(&self);

    /// Has the kernel send the message whenever `event` is written to, until [`Msi::detach`]: such a write is then taken, and whoever
    /// else waits for the event does not see it. What was written before may be seen by both.
    ///
    /// # Errors
    ///
    /// The kernel can't. Nothing changes.
    fn attach(&self, event: &EventFd) -> io::Result<()>;

    /// Ends what [`Msi::attach`] began: writes stay in `event`.
    fn detach(&self, event: &EventFd);
}

/// A line that several devices drive through inputs of their own: high while any of them is.
#[derive(Debug)]
pub struct SharedLine {
    line: Arc<dyn Line>,
    /// The number of inputs that are high.
    raised: Mutex<usize>,
}

impl SharedLine {
    /// The line that drives `line`, which nobody else does.
    #[must_use]
    pub fn new(line: Arc<dyn Line>) -> Arc<Self> {
        Arc::new(Self { line, raised: Mutex::new(0) })
    }

    /// One more input, low. Dropping it lowers it.
    #[must_use]
    pub fn input(self: &Arc<Self>) -> Arc<dyn Line> {
        Arc::new(Input { shared: Arc::clone(self), high: AtomicBool::new(false) })
    }
}

#[derive(Debug)]
struct Input {
    shared: Arc<SharedLine>,
    /// Changes only under the lock of [`SharedLine::raised`].
    high: AtomicBool,
}

impl Line for Input {
    fn set(&self, high: bool) {
        // Held while the line is driven, so that the last to change it is the last to drive it.
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

    /// Under the lock, so that pulses of two inputs are two edges, and not one that lasts longer.
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
