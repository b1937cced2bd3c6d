//! The two ways a device interrupts: a line, and a message. Only the machine knows what is behind them.

use std::fmt::Debug;

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

/// What a message-signalled interrupt writes, and where.
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
}
