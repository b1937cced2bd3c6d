//! The place of [`vnc`](self) in an nvmm without the feature of that name.

use std::fmt;

use serde_json::{Value, json};

/// The VNC server, of which there is none.
#[derive(Debug)]
pub(crate) enum Server {}

/// The server and its viewers, as QMP tells of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VncInfo;

/// The text of `info vnc`.
#[derive(Debug)]
pub(crate) struct InfoVnc<'a>(pub(crate) &'a VncInfo);

impl Server {
    /// The server as it is now.
    pub(crate) fn info(&self) -> VncInfo {
        match *self {}
    }
}

impl VncInfo {
    /// QMP's `VncInfo`.
    #[expect(clippy::unused_self, reason = "as with the server")]
    pub(crate) fn to_json(self) -> Value {
        json!({"enabled": false})
    }
}

impl fmt::Display for InfoVnc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(VncInfo) = self;
        writeln!(f, "None")
    }
}
