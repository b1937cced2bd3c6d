//! QMP, QEMU's machine protocol: a socket on which programs ask about the machine, stop it, let it go on, and hear of what happens to it.
//!
//! ```text
//! client ──bytes──> Reader ──JSON──> Call ──table──> Todo: answer now │ Control, Question ──> machine's thread
//!        <──lines── Outbox <──────────────────────── Answer <─────────┴─────────────────────────────┘
//!                          <── events ── Notice::Changed
//! ```
//!
//! QEMU, "QEMU Machine Protocol Specification".

mod arguments;
mod client;
mod commands;
mod cpus;
mod message;
mod models;
mod outbox;
pub(crate) mod reader;
mod server;
mod stats;

pub use self::server::{Facts, Server};
