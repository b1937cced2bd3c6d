//! Migration: a running machine moves to another nvmm, which was started with `--incoming`.
//!
//! Migration is like a snapshot that is sent instead of saved: the same `machine.json` and `state.json`, written and read by the same code with
//! the same checks. Only memory is sent in pages, and changed pages again, while the guest runs.
//!
//! ```text
//! source                                              destination
//!   Begin, Machine ───────────────────────────────────▶ its options, and those of --incoming; this host's CPU
//!   ◀─────────────────────────────────────────── Welcome
//!   Pages, Zeros: all memory, then what changed, in rounds ──▶ guest RAM
//!   the machine stops; disks are flushed, and unlocked
//!   Pages, Zeros: the rest; Stopped, Machine, State ──▶ opens and locks disks, builds the machine, gives it its state
//!   ◀───────────────────────────── Ready, and a pipe's end
//!   Go ───────────────────────────────────────────────▶ from here on it runs there, whatever happens
//!   ◀─────────────────────────────────────────── Running
//!   ends
//! ```
//!
//! The two sides never both run the machine: after `Go`, the source leaves the machine stopped, unless the pipe shows that the
//! destination's process has ended, and no `Running` is in the socket. Before `Go`, the source locks its disks again and continues,
//! whatever happens to the other side, which ends without `Go`. If the connection breaks after `Go` and nothing else is known, as over TCP,
//! the machine stays stopped on the source, and the user is told.
//!
//! Changed pages are known from three places: KVM's dirty log has the guest's writes, [`arch::memory::Written`] has those of nvmm's
//! threads, and vhost puts its own there, too.

mod connection;
mod incoming;
mod order;
mod page_set;
mod progress;
mod ready;
mod sender;

use serde::{Deserialize, Serialize};

pub use self::incoming::{Incoming, Peer};
pub(crate) use self::{
    connection::Connection,
    order::{DOWNTIME, Migrate},
    page_set::PageSet,
    progress::{Progress, Status},
    ready::Fate,
    sender::{Collect, Sender, Sent},
};

/// The first bytes on a connection.
const MAGIC: &[u8] = b"nvmm migration\n";
/// The version of the messages. It changes whenever an older nvmm would not understand a newer one's.
const FORMAT: u32 = 1;

/// The way to continue a machine that was stopped to be moved.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stopped {
    /// The machine was stopped before, and stays stopped.
    pub(crate) paused: bool,
    /// The manifest has checksums of all memory.
    pub(crate) checked: bool,
}
