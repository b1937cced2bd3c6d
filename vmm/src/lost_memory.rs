//! The end of nvmm when the host can't give it a page of memory.
//!
//! The guest's memory is there when it is first touched, and the host may have none then; or it was there and is lost. nvmm's threads get
//! SIGBUS for it, which would end nvmm without a word, and `KVM_RUN` an error. What guests have on disks is as after a power failure.
#![expect(unsafe_code, reason = "a signal handler, which may only make system calls")]

use libc::{c_int, c_void, siginfo_t};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmm_sys_util::{errno::Error, signal::register_signal_handler};

use crate::{exit::COULD_NOT, terminal};

/// The ways in which memory is lost. A macro, since the message of the handler is made when nvmm is compiled.
macro_rules! ways {
    () => {
        "a limit or the pool has no more huge pages, swap can't be read, or a memory module failed; dmesg may tell more"
    };
}

/// How memory is lost, for messages.
pub(crate) const WAYS: &str = ways!();

const MESSAGE: &str = concat!("nvmm: the host lost memory of the guest or of nvmm (SIGBUS): ", ways!(), "\n");

/// The time that a reader of stderr has to take the message.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The kernel has found a page that is lost, and nobody has touched it. Linux, `siginfo.h`.
const BUS_MCEERR_AO: c_int = 5;

/// Has nvmm say so from now on when it touches a page that the host can't give, and end with [`COULD_NOT`].
///
/// # Errors
///
/// The signal can't be handled.
pub(crate) fn init() -> Result<(), Error> {
    register_signal_handler(libc::SIGBUS, handle)
}

/// Async-signal-safe: atomics and system calls.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's, for a handler that takes it.
    match unsafe { (*info).si_code } {
        // It may never be touched.
        BUS_MCEERR_AO => {}
        // Sent by a process.
        ..=0 => terminal::restore_and_die(signal),
        _ => {
            terminal::restore();
            say(MESSAGE);
            // SAFETY: async-signal-safe, and nothing of this process is needed any more.
            unsafe { libc::_exit(COULD_NOT.into()) }
        }
    }
}

/// Writes to stderr, unless nobody reads it.
fn say(text: &str) {
    let stderr = rustix::stdio::stderr();
    if let Ok(1..) = poll(&mut [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)], Some(&PATIENCE)) {
        let _ = rustix::io::write(stderr, text.as_bytes());
    }
}
