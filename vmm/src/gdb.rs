//! The debugger: a stub that speaks gdb's remote protocol, with the `gdbstub` crate.
//!
//! ```text
//! gdb <--socket--> Stub, on a thread of its own     machine's thread: Debugger, which outlives resets
//!                  gdbstub, Target      --Request-->  Machine::debug: breakpoints, registers, memory
//!                                       <--Reply----
//!                                       <--Told-----  a stop, the end
//!                                                       ^ Trap
//!                                     vCPU threads: KVM_EXIT_DEBUG ends a vCPU's run
//! ```
//!
//! A machine without a debugger has none of this: KVM is only involved once breakpoints or steps are asked for.

mod breakpoints;
mod debugger;
mod memory;
mod peer;
mod registers;
mod request;
mod state;
mod stub;
mod target;
mod traps;

pub use self::debugger::Debugger;
pub(crate) use self::{
    debugger::Session,
    memory::Space,
    registers::Registers,
    request::{Orders, Request, Stop, StopReason},
    state::State,
    traps::{BREAKPOINT, DEBUG, Trap, Traps},
};
