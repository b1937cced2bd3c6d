//! Faults of the host, of others, and at any moment: nvmm lives through them, or ends with a reason and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../support/control.rs"]
mod control;
mod injection;
mod kvm;
mod memory;
#[path = "../support/network.rs"]
mod network;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod tracee;
