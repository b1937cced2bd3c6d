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

/// Has `command` start its program with `descriptor` open, and nothing else besides the standard ones: whoever started nvmm
/// may have left others open, such as taps that it gives. Returns the number. The program gets no signals of the terminal,
/// which are nvmm's.
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

/// Has every descriptor but the standard ones closed by exec. Linux before 5.11 can't, and leaves those open that are.
fn close_others() {
    let (first, last, flags): (c_uint, c_uint, c_uint) = (3, c_uint::MAX, CLOSE_RANGE_CLOEXEC);
    // SAFETY: it closes nothing now, and in this process, which is about to become another program, nobody uses them then.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}
