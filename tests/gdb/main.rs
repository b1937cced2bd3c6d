//! gdb, and tiny guests that it debugs.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod breakpoints;
mod machine;
mod places;
mod protocol;
#[path = "../support/remote.rs"]
mod remote;
mod session;
#[path = "../support/mod.rs"]
mod support;
