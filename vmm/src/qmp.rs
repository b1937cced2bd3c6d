//! QMP, QEMU's machine protocol: a socket on which programs ask about the machine, stop it, continue it, and receive its events.
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
mod command;
mod commands;
mod cpus;
mod descriptors;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod input_event;
mod message;
mod models;
mod moving;
mod outbox;
pub(crate) mod reader;
mod returns;
mod schema;
#[cfg(test)]
#[path = "../../tests/support/schema.rs"]
mod schema_check;
mod screendump;
mod send_key;
mod server;
mod stats;
mod todo;
mod types;

pub use self::server::{Facts, Server};
