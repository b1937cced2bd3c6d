//! Signals as something to read.
#![expect(unsafe_code, reason = "signalfd has no wrapper in the crates we use")]

use std::{
    fs::File,
    io::{self, Read},
    mem::offset_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use vmm_sys_util::signal::{block_signal, create_sigset};

/// The signals that ask something of nvmm.
const SIGNALS: [i32; 5] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1];

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
            block_signal(signal).map_err(|error| io::Error::other(error.to_string()))?;
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

/// Returns whether a signal waits that asks nvmm to end. It is not taken.
pub(crate) fn end_is_asked() -> bool {
    let Ok(mut pending) = create_sigset(&[]) else { return false };
    // SAFETY: `pending` is a valid set, which is overwritten.
    if unsafe { libc::sigpending(&raw mut pending) } != 0 {
        return false;
    }
    [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT].into_iter().any(|signal| {
        // SAFETY: `pending` is a valid set, and the number is a signal's.
        unsafe { libc::sigismember(&raw const pending, signal) == 1 }
    })
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
