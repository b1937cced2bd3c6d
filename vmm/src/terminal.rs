//! The terminal: in raw mode while the guest uses it, and restored however nvmm ends.
#![expect(unsafe_code, reason = "signal handlers that give the terminal back before the process dies")]

use std::{
    fs::File,
    io, panic, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use libc::{c_int, c_void, siginfo_t};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use vmm_sys_util::signal::{SIGRTMAX, SIGRTMIN, create_sigset, register_signal_handler};

static SAVED: OnceLock<Termios> = OnceLock::new();
static RAW: AtomicBool = AtomicBool::new(false);

/// Signals that end a process and that nvmm does not wait for, except for the real-time signals.
const DEADLY: [c_int; 15] = [
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSYS,
];

/// Those of them that a bug of nvmm raises. Rust's own handlers of some of them report nothing more useful. The sandbox's handler of SIGSYS
/// does, and restores the terminal itself.
const FAULTS: [c_int; 5] = [libc::SIGILL, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV];

/// The columns to assume if the terminal doesn't report them.
const COLUMNS: usize = 80;

/// The terminal on stdin, restored when dropped.
#[derive(Debug)]
pub(crate) struct Terminal(());

impl Terminal {
    /// The terminal on stdin, if it is one and belongs to this session.
    ///
    /// # Errors
    ///
    /// The signal handlers that restore it can't be set.
    pub(crate) fn new() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        // The terminal of another session, such as an init's console, has no foreground group that we could be in.
        if !isatty(stdin) || rustix::termios::tcgetpgrp(stdin).is_err() {
            return Ok(None);
        }
        for signal in DEADLY.into_iter().chain(SIGRTMIN()..=SIGRTMAX()) {
            if FAULTS.contains(&signal) || is_default(signal) {
                register_signal_handler(signal, handle)?;
            }
        }
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            report(info);
        }));
        Ok(Some(Self(())))
    }

    /// Makes it raw if this process is in its foreground, and returns whether it is. Reading it would stop a background process.
    ///
    /// # Errors
    ///
    /// The terminal refuses.
    pub(crate) fn take(&self) -> io::Result<bool> {
        if !in_foreground() {
            RAW.store(false, Ordering::SeqCst);
            return Ok(false);
        }
        let stdin = rustix::stdio::stdin();
        let now = tcgetattr(stdin)?;
        let saved = SAVED.get_or_init(|| now);
        let mut raw = saved.clone();
        raw.make_raw();
        // The guest's output has its own carriage returns, but nvmm's lines have none.
        raw.output_modes |= saved.output_modes & rustix::termios::OutputModes::OPOST;
        RAW.store(true, Ordering::SeqCst);
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(true)
    }

    /// Returns whether this process is in its foreground.
    pub(crate) fn is_ours(&self) -> bool {
        in_foreground()
    }

    /// Restores it until [`Terminal::take`].
    pub(crate) fn give_back(&self) {
        restore();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// The columns of the terminal on stderr.
pub(crate) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map(|size| usize::from(size.ws_col)).ok().filter(|&columns| columns > 0).unwrap_or(COLUMNS)
}

/// This process's controlling terminal, if it has one.
pub(crate) fn controlling() -> Option<File> {
    File::open("/dev/tty").ok()
}

/// Returns whether an open terminal still exists, and has not hung up.
pub(crate) fn is_there(terminal: &File) -> bool {
    rustix::termios::tcgetwinsize(terminal).is_ok()
}

/// Async-signal-safe: two system calls. The process group of an init may be 0, which rustix considers impossible, but an init has no
/// terminal.
fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(rustix::stdio::stdin())
        .is_ok_and(|foreground| foreground == rustix::process::getpgrp())
}

/// Restores the terminal, unless nvmm is in its background: changing it would then stop this process. Async-signal-safe: atomics and system
/// calls.
pub(crate) fn restore() {
    if let (true, Some(saved)) = (RAW.swap(false, Ordering::SeqCst), SAVED.get())
        && in_foreground()
    {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, saved);
    }
}

/// Returns whether the signal has its default action, which the program that started nvmm may have changed.
fn is_default(signal: c_int) -> bool {
    disposition(signal) == Some(libc::SIG_DFL)
}

/// Returns whether the program that started nvmm has it ignore the signal.
pub(crate) fn is_ignored(signal: c_int) -> bool {
    disposition(signal) == Some(libc::SIG_IGN)
}

fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
    let mut action = libc::sigaction {
        sa_sigaction: libc::SIG_DFL,
        sa_mask: create_sigset(&[]).ok()?,
        sa_flags: 0,
        sa_restorer: None,
    };
    // SAFETY: only a query, into a local.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    (asked == 0).then_some(action.sa_sigaction)
}

extern "C" fn handle(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    restore_and_die(signal);
}

/// Restores the terminal, and then lets the signal take its default action on this process. Async-signal-safe.
pub(crate) fn restore_and_die(signal: c_int) {
    restore();
    // SAFETY: both are async-signal-safe; the signal, sent again, meets its default: to end the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
}
