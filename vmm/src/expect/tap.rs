//! The place where the guest's output is looked at: between the UART and whoever reads it.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::matcher::Matcher;

/// A look at COM1's output. The vCPU that writes a byte holds it against the script: a few lookups in a table, next to the exit that
/// the byte takes. So nothing is lost, and nothing has to be kept for another thread.
#[derive(Clone, Debug)]
pub(crate) struct Tap(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    matcher: Mutex<Matcher>,
    /// Readable when something was met.
    met: EventFd,
}

impl Tap {
    /// Looks with `matcher`.
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

    /// An output that looks at what it passes on to `output`.
    pub(crate) fn on(&self, output: Box<dyn Write + Send>) -> Box<dyn Write + Send> {
        Box::new(Tapped { tap: self.clone(), output })
    }

    /// The search so far.
    pub(super) fn matcher(&self) -> MutexGuard<'_, Matcher> {
        self.0.matcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable when something was met.
    pub(super) fn met(&self) -> &EventFd {
        &self.0.met
    }
}

/// An output that is looked at.
struct Tapped {
    tap: Tap,
    output: Box<dyn Write + Send>,
}

impl Write for Tapped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // So that whoever reads it sees a text before its answer.
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
