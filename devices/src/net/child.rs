//! Programs that nvmm starts for a network.

#![expect(unsafe_code, reason = "a descriptor is left open for a program")]

use std::{
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use rustix::io::{FdFlags, fcntl_setfd};

/// Has `command` start its program with `descriptor` open, and returns the number. The program gets no signals of the
/// terminal, which are nvmm's.
pub(super) fn pass(command: &mut Command, descriptor: OwnedFd) -> RawFd {
    let number = descriptor.as_raw_fd();
    command.process_group(0);
    let leave_open = move || Ok(fcntl_setfd(&descriptor, FdFlags::empty())?);
    // SAFETY: between fork and exec it makes one system call, and neither locks nor allocates.
    unsafe { command.pre_exec(leave_open) };
    number
}
