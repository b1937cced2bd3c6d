//! The terminal: raw while the guest has it, and given back as it was, however nvmm ends.
#![expect(unsafe_code, reason = "signal handlers that give the terminal back before the process dies")]

use std::{
    fs::File,
    io, panic,
    sync::OnceLock,
    sync::atomic::{AtomicBool, Ordering},
};

use libc::{c_int, c_void, siginfo_t};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use vmm_sys_util::signal::register_signal_handler;

static SAVED: OnceLock<Termios> = OnceLock::new();
static RAW: AtomicBool = AtomicBool::new(false);

/// Signals of a process that broke; nothing else runs after them.
const FATAL: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS];

/// Columns of a terminal that doesn't say.
const COLUMNS: usize = 80;

/// A terminal on stdin in raw mode, until dropped.
#[derive(Debug)]
pub(crate) struct RawTerminal(());

impl RawTerminal {
    /// Makes stdin raw, if it is a terminal that this process is in the foreground of.
    ///
    /// # Errors
    ///
    /// The terminal refuses.
    pub(crate) fn new() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        // A terminal that is not this session's, such as an init's console, has no foreground for us.
        // Asked first: an init's own group may be 0, which rustix takes for impossible.
        let Ok(foreground) = rustix::termios::tcgetpgrp(stdin) else { return Ok(None) };
        if !isatty(stdin) || foreground != rustix::process::getpgrp() {
            return Ok(None);
        }
        let saved = tcgetattr(stdin)?;
        let mut raw = saved.clone();
        raw.make_raw();
        // What the guest prints has its own carriage returns, but nvmm's own lines have not.
        raw.output_modes |= saved.output_modes & rustix::termios::OutputModes::OPOST;
        if SAVED.set(saved).is_ok() {
            for signal in FATAL {
                register_signal_handler(signal, restore_and_die)?;
            }
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                report(info);
            }));
        }
        RAW.store(true, Ordering::SeqCst);
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self(())))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// The columns of the terminal on stderr.
pub(crate) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map(|size| usize::from(size.ws_col)).ok().filter(|&columns| columns > 0).unwrap_or(COLUMNS)
}

/// Whether this process has a controlling terminal. One that hung up is none.
pub(crate) fn is_there() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Gives the terminal back. It is async-signal-safe: two atomics and an ioctl.
fn restore() {
    if let (true, Some(saved)) = (RAW.swap(false, Ordering::SeqCst), SAVED.get()) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, saved);
    }
}

extern "C" fn restore_and_die(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    restore();
    // SAFETY: both are async-signal-safe; the signal, sent again, meets its default: to end the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
}
