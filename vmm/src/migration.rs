//! Migration: a running machine moves to another nvmm, which waits for it with `--incoming`.
//!
//! It is a snapshot that is sent instead of saved: the same `machine.json` and `state.json`, written and read by the same code, with the same checks;
//! only memory is sent page by page, and again where it changed, while the guest runs.
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
//! Never both sides run it: the source does nothing with the machine after `Go`, unless the pipe tells that the destination's process has ended,
//! and the socket has no `Running`. Before `Go` it locks its disks again and goes on, whatever happens on the other side, which ends without `Go`.
//! If the connection breaks after `Go` and nothing tells more, as over TCP, the machine stays stopped on the source, and the user is told.
//!
//! Pages that change are known from three places: KVM's dirty log has the guest's writes, [`arch::memory::Written`] those of nvmm's threads, and
//! vhost puts its own there, too.

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
/// The form of the messages. It changes whenever an older nvmm would not understand a newer one's.
const FORMAT: u32 = 1;

/// The way in which a machine that was stopped to be moved is to go on.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stopped {
    /// It was stopped before, and stays so.
    pub(crate) paused: bool,
    /// The manifest has checksums of all memory.
    pub(crate) checked: bool,
}
