//! Signals as something to read.
#![expect(unsafe_code, reason = "signalfd has no wrapper in the crates we use")]

use std::{
    fs::File,
    io::{self, Read},
    mem::offset_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use vmm_sys_util::signal::{Error, block_signal, create_sigset, unblock_signal};

/// The signals that ask something of nvmm.
const SIGNALS: [i32; 8] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    // It continues a process even so.
    libc::SIGCONT,
];

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// Its number.
    pub(crate) number: i32,
    /// The kernel sent it for a reason of its own, such as a terminal that hung up; nobody else can say so.
    pub(crate) from_kernel: bool,
}

/// The signals that nvmm acts on, taken from their default actions.
#[derive(Debug)]
pub(crate) struct Signals(File);

impl Signals {
    /// Blocks the signals in this thread, and so in those it makes later.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        // A file-size limit is an I/O error, not the end.
        for signal in SIGNALS.into_iter().chain([libc::SIGXFSZ]) {
            match block_signal(signal) {
                // By whoever started nvmm.
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

    /// The next signal that has come, if any.
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

/// Stops this process as SIGTSTP does when nobody waits for it; returns when it continues, or at once if no shell could have it
/// continue.
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
