//! The VNC server: viewers show the screen, and send keys and pointer movements. RFC 6143, and "The RFB Protocol" of the rfbproto community
//! for QEMU's extensions.
//!
//! ```text
//! listener's thread: Server ──accepts──▶ one thread a viewer: serve
//!                                          │ bytes, time
//!                                          ▼
//!                            Session: Handshake ─▶ Message::parse ─▶ Keyboard ─▶ Input
//!                                     Painter ◀── Screen::look
//! ```
//!
//! A session has no socket and no clock, so that tests and the fuzzer can pass it bytes. It reads the screen only when its viewer has
//! requested an update and has read the previous one: a viewer that reads slowly gets fewer updates, and no memory is used for them.

mod authentication;
mod connection;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handshake;
mod info;
mod keyboard;
mod keysyms;
mod message;
mod painter;
mod pixels;
mod server;
mod session;
#[cfg(test)]
mod test_viewer;
mod viewer;
mod zrle;

pub(crate) use self::{
    authentication::Password,
    info::{InfoVnc, VncInfo},
    server::Server,
    session::Subject,
};
