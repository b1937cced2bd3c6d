//! Signals as something to read.
#![expect(unsafe_code, reason = "signalfd has no wrapper in the crates we use")]

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use vmm_sys_util::signal::{block_signal, create_sigset};

/// The signals that ask nvmm to end, and nothing else does.
const SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

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
    pub(crate) fn next(&mut self) -> Option<i32> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        self.0.read_exact(&mut info).ok()?;
        // `ssi_signo` is the first field.
        info.first_chunk().and_then(|bytes| i32::try_from(u32::from_ne_bytes(*bytes)).ok())
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
