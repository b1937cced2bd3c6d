//! Programs that nvmm starts for a network.

#![expect(unsafe_code, reason = "a descriptor is left open for a program")]

use std::{
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use libc::{CLOSE_RANGE_CLOEXEC, c_uint};
use rustix::io::{FdFlags, fcntl_setfd};

/// Prepares `command` so that its program has `descriptor` open, and otherwise only the standard descriptors: nvmm may have inherited
/// others, such as taps. Returns the descriptor's number. The program gets no signals from the terminal, because these are for nvmm.
pub(super) fn pass(command: &mut Command, descriptor: OwnedFd) -> RawFd {
    let number = descriptor.as_raw_fd();
    command.process_group(0);
    let leave_open = move || {
        close_others();
        Ok(fcntl_setfd(&descriptor, FdFlags::empty())?)
    };
    // SAFETY: between fork and exec it makes two system calls, and neither locks nor allocates.
    unsafe { command.pre_exec(leave_open) };
    number
}

/// Makes exec close all but the standard descriptors. Linux before 5.11 can't do that, and leaves them open.
fn close_others() {
    let (first, last, flags): (c_uint, c_uint, c_uint) = (3, c_uint::MAX, CLOSE_RANGE_CLOEXEC);
    // SAFETY: it closes nothing now. At exec, when it does, nothing in this process uses the descriptors any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}
