//! The VNC server: viewers look at the screen, and send keys and pointers. RFC 6143, and "The RFB Protocol" of the rfbproto community for what QEMU
//! added to it.
//!
//! ```text
//! listener's thread: Server ──accepts──▶ one thread a viewer: serve
//!                                          │ bytes, time
//!                                          ▼
//!                            Session: Handshake ─▶ Message::parse ─▶ Keyboard ─▶ Input
//!                                     Painter ◀── Screen::look
//! ```
//!
//! A session knows no socket and no clock, and tests and the fuzzer give it bytes. It looks at the screen only when its viewer has asked for an
//! update and has read the one before: a viewer that reads slowly gets fewer of them, and no memory is spent on it.

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
