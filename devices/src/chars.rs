//! Back ends of serial ports: they take a port's output on the host, and provide its input.
//!
//! ```text
//! guest --> UART --Output--> thread that waits for readers --> file, terminal, socket
//! guest <-- UART <--Input--- main thread, Backend::serve  <--  terminal, socket
//! ```
//!
//! A port outlives the machine's resets, and so do its back end and the input that the guest has not read yet.

mod address;
mod client;
mod file;
mod input;
mod listener;
mod null;
mod peers;
mod pty;
mod server;
mod telnet;
#[cfg(test)]
mod testing;
mod watch;

use std::{fmt, fs::File, io, os::fd::BorrowedFd, time::Duration};

pub use self::{
    address::{Address, AddressError, prepare},
    client::Client,
    file::FileBackend,
    input::Input,
    listener::{Access, Listener},
    null::NullBackend,
    peers::is_refusal,
    pty::{Pty, PtyError},
    server::{Server, ServerOptions},
};
use crate::output::{Output, OutputOptions};

/// The time for which the guest's output is collected before it is written.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// The host's side of a serial port. Except for opening one, nothing in it blocks.
///
/// The user watches [`Backend::fd`] for as long as the back end lives, for input only and level-triggered, and calls [`Backend::serve`]
/// when it is readable, and also when the guest has read something from a full [`Input`]. A back end reads from its peer only what there is
/// room for. The rest waits with the peer, so that everything that was read reaches the guest, even across resets of the machine.
pub trait Backend: Send + fmt::Debug {
    /// The output for the guest's bytes. It stays the same, while peers come and go. `None` if there is no output.
    fn output(&self) -> Option<Output>;

    /// A descriptor that is readable when [`Backend::serve`] has something to do. It stays the same. `None` if there never is anything to
    /// do.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Does all that can be done now: takes a peer, connects to one, reads what there is room for, and drops a peer that hung up.
    fn serve(&mut self, input: &mut Input) {
        let _ = input;
    }

    /// Returns whether the machine must not start yet because the user wants it to wait for a peer.
    fn waits_for_peer(&self) -> bool {
        false
    }

    /// Prepares for nvmm's end, before [`Output::finish`]: from now on it waits for no peer and takes none.
    fn finish(&mut self) {}

    /// Describes the back end, including what only the host knew, such as the name of a pseudoterminal: `pty /dev/pts/3`.
    fn describe(&self) -> String;
}

/// The options for the output of a port called `name`.
fn output_options(name: &'static str) -> OutputOptions {
    OutputOptions { name, delay: BATCH_TIME, tell: true, waits: true }
}

/// Also writes all of `output` to `log`, if there is one.
///
/// # Errors
///
/// No file descriptor is left.
pub fn log_to(output: &Output, log: Option<File>) -> io::Result<()> {
    if let Some(log) = log {
        output.log_to(Output::new(log, output_options("serial log"))?);
    }
    Ok(())
}
