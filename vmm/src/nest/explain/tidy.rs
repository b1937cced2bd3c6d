//! Cleans up tracefs when a signal ends nvmm on the host: the kernel keeps a trace instance until it is removed.

use std::io;
use std::process;

use devices::threads::{self, Role};
use rustix::event::{PollFd, PollFlags, poll};

use super::trace;
use crate::exit;
use crate::signals::{self, Signals};

/// Starts a thread that waits for the signals that end nvmm. Call this before any other thread is started.
///
/// # Errors
///
/// No file descriptor or thread is left.
pub(in crate::nest) fn start() -> io::Result<()> {
    let mut signals = Signals::new()?;
    threads::spawn(&Role::Signals, move || {
        loop {
            // It fails only if it was interrupted, and then there may be no signal.
            let _ = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
            match signals.next().map(|signal| signal.number) {
                None | Some(libc::SIGUSR1 | libc::SIGCONT) => {}
                Some(libc::SIGTSTP) => signals::stop(),
                Some(number) => {
                    trace::remove();
                    // The levels end with it.
                    process::exit(i32::from(exit::SIGNAL) + number);
                }
            }
        }
    })
    .map(drop)
}
