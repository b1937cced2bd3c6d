//! Back ends of serial ports: where a port's output goes on the host, and where its input comes from.
//!
//! ```text
//! guest --> UART --Output--> thread that waits for readers --> file, terminal, socket
//! guest <-- UART <--Input--- main thread, Backend::serve  <--  terminal, socket
//! ```
//!
//! A port outlives the machine's resets, and so do its back end and the input that the guest has not taken yet.

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

/// The time that the guest's output waits for more.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// The host's side of a serial port. None of it ever waits, except for opening one.
///
/// Its user watches [`Backend::fd`] for as long as the back end lives, for input only and level-triggered, and calls [`Backend::serve`]
/// when that is readable, and also when the guest has taken something of a full [`Input`]. A back end reads from its peer only what there
/// is room for. The rest waits with the peer, so that whatever was read reaches the guest, also across resets of the machine.
pub trait Backend: Send + fmt::Debug {
    /// The output to which the guest's bytes go, the same one for good, while peers come and go. `None`: nowhere.
    fn output(&self) -> Option<Output>;

    /// A descriptor that is readable when [`Backend::serve`] has something to do: the same one for good. `None`: it never has.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Does all that can be done now: takes a peer, connects to one, reads what there is room for, and lets go of a peer that hung up.
    fn serve(&mut self, input: &mut Input) {
        let _ = input;
    }

    /// Returns whether the machine is not to start yet, as the user wants it to wait for a peer.
    fn waits_for_peer(&self) -> bool {
        false
    }

    /// Prepares for nvmm's end, before [`Output::finish`]: nobody is waited for who is not there, and no peer is taken any more.
    fn finish(&mut self) {}

    /// The back end in words, with what only the host knew, such as the name of a pseudoterminal: `pty /dev/pts/3`.
    fn describe(&self) -> String;
}

/// The options of the output of a port called `name`.
fn output_options(name: &'static str) -> OutputOptions {
    OutputOptions { name, delay: BATCH_TIME, tell: true, waits: true }
}

/// Has what `output` gets written to `log` as well, if there is one.
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
