//! Requests of the debugger's thread to the machine's, and what that tells of the machine.

use std::{collections::BTreeSet, sync::mpsc::Sender};

use super::{
    breakpoints::{Breakpoint, Watch},
    registers::Registers,
};
use crate::questions::Refusal;

/// The way of an answer. The machine's end drops it.
pub(crate) type Reply<T> = Sender<Result<T, Refusal>>;

/// A request of a debugger. Numbers are those of vCPUs.
#[derive(Debug)]
pub(crate) enum Request {
    /// Stop the machine: a debugger is there.
    Attach(Reply<()>),
    /// Take the breakpoints out, and go on. The answer tells whether the debugger had stopped the machine.
    Leave(Reply<bool>),
    /// Let vCPUs run, and tell when one of them stops.
    Resume(Orders),
    /// Stop, and tell.
    Interrupt,
    /// Set a breakpoint.
    Set(Breakpoint, Reply<()>),
    /// Take a breakpoint out. The answer tells whether it was there.
    Remove(Breakpoint, Reply<bool>),
    /// Read the registers of a vCPU.
    Registers(u32, Reply<Registers>),
    /// Write them.
    SetRegisters(u32, Box<Registers>, Reply<()>),
    /// Read so many bytes of memory at an address, by the page tables of a vCPU, up to the first page without RAM.
    Memory(u32, u64, usize, Reply<Vec<u8>>),
    /// Write memory. The answer tells whether there is RAM; otherwise none of it was written.
    SetMemory(u32, u64, Vec<u8>, Reply<bool>),
    /// Tell whether a vCPU waits for an interrupt.
    IsHalted(u32, Reply<bool>),
    /// Answer a command line of QEMU's monitor, about a vCPU if the line names none.
    Monitor(String, u32, Reply<String>),
    /// Reset the machine, which then is stopped at its first instruction.
    Reset(Reply<()>),
    /// End nvmm.
    Kill,
}

/// The orders for the vCPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Those that take a single step.
    pub(crate) steps: BTreeSet<u32>,
    /// Those that run.
    pub(crate) runs: BTreeSet<u32>,
    /// All others are to stay stopped.
    pub(crate) others_wait: bool,
}

impl Orders {
    /// Returns whether a vCPU runs, or takes a step.
    pub(crate) fn moves(&self, vcpu: u32) -> bool {
        !self.others_wait || self.steps.contains(&vcpu) || self.runs.contains(&vcpu)
    }
}

/// News of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has stopped.
    Stopped(Stop),
    /// It has ended, and nvmm ends with this status.
    Ended(u8),
}

/// A stop of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The vCPU that it is about.
    pub(crate) vcpu: u32,
    /// The reason.
    pub(crate) reason: StopReason,
}

/// The reason why a machine stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The vCPU has taken its step, or is at the first instruction after a reset that came in a step.
    Step,
    /// A breakpoint in memory.
    Software,
    /// A breakpoint in a register.
    Hardware,
    /// An access to data that is watched from this address on.
    Watch(u64, Watch),
    /// [`Request::Interrupt`].
    Interrupt,
}
