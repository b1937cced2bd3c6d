//! Requests from the debugger's thread to the machine's, and notifications in the other direction.

use std::{collections::BTreeSet, sync::mpsc::Sender};

use super::{
    breakpoints::{Breakpoint, Watch},
    registers::Registers,
};
use crate::questions::Refusal;

/// The channel for an answer. The machine's end drops it.
pub(crate) type Reply<T> = Sender<Result<T, Refusal>>;

/// A request from a debugger. Numbers are those of vCPUs.
#[derive(Debug)]
pub(crate) enum Request {
    /// Stop the machine, because a debugger has attached.
    Attach(Reply<()>),
    /// Remove the breakpoints, and continue. The answer tells whether the debugger had stopped the machine.
    Leave(Reply<bool>),
    /// Let vCPUs run, and report when one of them stops.
    Resume(Orders),
    /// Stop, and report that.
    Interrupt,
    /// Set a breakpoint.
    Set(Breakpoint, Reply<()>),
    /// Remove a breakpoint. The answer tells whether it was set.
    Remove(Breakpoint, Reply<bool>),
    /// Read the registers of a vCPU.
    Registers(u32, Reply<Registers>),
    /// Write the registers of a vCPU.
    SetRegisters(u32, Box<Registers>, Reply<()>),
    /// Read this many bytes of memory at an address, by the page tables of a vCPU, up to the first page that is not RAM.
    Memory(u32, u64, usize, Reply<Vec<u8>>),
    /// Write memory. The answer tells whether it is RAM; otherwise nothing was written.
    SetMemory(u32, u64, Vec<u8>, Reply<bool>),
    /// Tell whether a vCPU waits for an interrupt.
    IsHalted(u32, Reply<bool>),
    /// Answer a command line for QEMU's monitor, for this vCPU unless the line names another.
    Monitor(String, u32, Reply<String>),
    /// Reset the machine, and stop it at its first instruction.
    Reset(Reply<()>),
    /// End nvmm.
    Kill,
}

/// The orders for the vCPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// The vCPUs that make a single step.
    pub(crate) steps: BTreeSet<u32>,
    /// The vCPUs that run.
    pub(crate) runs: BTreeSet<u32>,
    /// All other vCPUs have to stay stopped.
    pub(crate) others_wait: bool,
}

impl Orders {
    /// Returns whether a vCPU runs or makes a step.
    pub(crate) fn moves(&self, vcpu: u32) -> bool {
        !self.others_wait || self.steps.contains(&vcpu) || self.runs.contains(&vcpu)
    }
}

/// A notification about the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The machine has stopped.
    Stopped(Stop),
    /// The machine has ended, and nvmm will end with this status.
    Ended(u8),
}

/// A stop of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The vCPU that stopped.
    pub(crate) vcpu: u32,
    /// The reason.
    pub(crate) reason: StopReason,
}

/// Reasons why a machine stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The vCPU has made its step, or is at the first instruction after a reset during a step.
    Step,
    /// A breakpoint in memory.
    Software,
    /// A breakpoint in a register.
    Hardware,
    /// An access to watched data, which begins at this address.
    Watch(u64, Watch),
    /// [`Request::Interrupt`].
    Interrupt,
}
