//! Signals, read from a descriptor.
#![expect(unsafe_code, reason = "signalfd has no wrapper in the crates we use")]

use std::{
    fs::File,
    io::{self, Read},
    mem::offset_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use vmm_sys_util::signal::{Error, block_signal, create_sigset, unblock_signal};

/// The signals that nvmm acts on.
const SIGNALS: [i32; 8] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    // It continues the process even though it is blocked.
    libc::SIGCONT,
];

/// A signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// The number.
    pub(crate) number: i32,
    /// The kernel sent it, such as for a terminal that hung up. No other process can set this.
    pub(crate) from_kernel: bool,
}

/// A descriptor of the signals that nvmm acts on, in place of their default actions.
#[derive(Debug)]
pub(crate) struct Signals(File);

impl Signals {
    /// Blocks the signals in this thread, and so in the threads that it starts later.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        // Exceeding a file-size limit is then an I/O error, and doesn't end the process.
        for signal in SIGNALS.into_iter().chain([libc::SIGXFSZ]) {
            match block_signal(signal) {
                // Blocked by the program that started nvmm.
                Ok(()) | Err(Error::SignalAlreadyBlocked(_)) => {}
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
        let set = create_sigset(&SIGNALS).map_err(io::Error::from)?;
        // SAFETY: `set` is a valid set, and -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nothing else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }.into()))
    }

    /// The next signal received, if any.
    pub(crate) fn next(&mut self) -> Option<Signal> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        self.0.read_exact(&mut info).ok()?;
        let field = |offset: usize| info[offset..].first_chunk().copied().map(i32::from_ne_bytes);
        Some(Signal {
            number: field(offset_of!(libc::signalfd_siginfo, ssi_signo))?,
            from_kernel: field(offset_of!(libc::signalfd_siginfo, ssi_code))? == libc::SI_KERNEL,
        })
    }
}

/// Stops this process, as SIGTSTP does by default. Returns when the process is continued, or at once if no shell could continue it.
pub(crate) fn stop() {
    if unblock_signal(libc::SIGTSTP).is_ok() {
        // SAFETY: sends this thread a signal that it has not changed the action of.
        unsafe { libc::raise(libc::SIGTSTP) };
        let _ = block_signal(libc::SIGTSTP);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
