//! Ends nvmm when the host can't provide a page of memory.
//!
//! The host allocates the guest's memory when it is first touched, and may have none left then; or it may lose a page. nvmm's threads get
//! SIGBUS, which would end nvmm without a message, and `KVM_RUN` returns an error. The guest's disks are then as after a power failure.
#![expect(unsafe_code, reason = "a signal handler, which may only make system calls")]

use libc::{c_int, c_void, siginfo_t};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmm_sys_util::{errno::Error, signal::register_signal_handler};

use crate::{exit::COULD_NOT, terminal};

/// The ways in which memory is lost. A macro, because the handler's message is made at compile time.
macro_rules! ways {
    () => {
        "a limit or the pool has no more huge pages, swap can't be read, or a memory module failed; dmesg may tell more"
    };
}

/// The ways in which memory is lost, for messages.
pub(crate) const WAYS: &str = ways!();

const MESSAGE: &str = concat!("nvmm: the host lost memory of the guest or of nvmm (SIGBUS): ", ways!(), "\n");

/// The time that a reader of stderr has to accept the message.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The kernel has found a lost page that nothing has touched. Linux, `siginfo.h`.
const BUS_MCEERR_AO: c_int = 5;

/// Installs a handler that ends nvmm with a message and [`COULD_NOT`] when it touches a page that the host can't provide.
///
/// # Errors
///
/// The signal can't be handled.
pub(crate) fn init() -> Result<(), Error> {
    register_signal_handler(libc::SIGBUS, handle)
}

/// Handles SIGBUS. It is async-signal-safe: only atomics and system calls.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid pointer to a handler with SA_SIGINFO.
    match unsafe { (*info).si_code } {
        // The page may never be touched.
        BUS_MCEERR_AO => {}
        // Another process sent the signal.
        ..=0 => terminal::restore_and_die(signal),
        _ => {
            terminal::restore();
            say(MESSAGE);
            // SAFETY: `_exit` is async-signal-safe, and nothing of this process is needed any more.
            unsafe { libc::_exit(COULD_NOT.into()) }
        }
    }
}

/// Writes to stderr, unless that would block.
fn say(text: &str) {
    let stderr = rustix::stdio::stderr();
    if let Ok(1..) = poll(&mut [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)], Some(&PATIENCE)) {
        let _ = rustix::io::write(stderr, text.as_bytes());
    }
}
