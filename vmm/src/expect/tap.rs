//! Reads the guest's output for the script, between the UART and its back end.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::matcher::Matcher;

/// A tap on COM1's output. The vCPU that writes a byte compares it with the script itself: this takes a few table look-ups, which is little
/// beside the exit for the byte. So nothing is lost, and nothing has to be stored for another thread.
#[derive(Clone, Debug)]
pub(crate) struct Tap(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    matcher: Mutex<Matcher>,
    /// Readable when a text was found.
    met: EventFd,
}

impl Tap {
    /// Makes a tap with `matcher`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(crate) fn new(matcher: Matcher) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            matcher: Mutex::new(matcher),
            met: EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?,
        })))
    }

    /// Makes an output that compares everything and passes it on to `output`.
    pub(crate) fn on(&self, output: Box<dyn Write + Send>) -> Box<dyn Write + Send> {
        Box::new(Tapped { tap: self.clone(), output })
    }

    /// The current state of the search.
    pub(super) fn matcher(&self) -> MutexGuard<'_, Matcher> {
        self.0.matcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An eventfd that is readable when a text was found.
    pub(super) fn met(&self) -> &EventFd {
        &self.0.met
    }
}

/// An output with a tap.
struct Tapped {
    tap: Tap,
    output: Box<dyn Write + Send>,
}

impl Write for Tapped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // First, so that a reader sees the text before the answer to it.
        let written = self.output.write(bytes)?;
        if self.tap.matcher().feed(&bytes[..written])
            && let Err(error) = self.tap.met().write(1)
        {
            log::error!("the main thread does not hear of --expect: {error}");
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
