//! The replacement of [`vnc`](self) in an nvmm without that feature.

use std::fmt;

use serde_json::{Value, json};

/// The VNC server, which doesn't exist here.
#[derive(Debug)]
pub(crate) enum Server {}

/// The server and its viewers, in the form for QMP.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VncInfo;

/// The text of `info vnc`.
#[derive(Debug)]
pub(crate) struct InfoVnc<'a>(pub(crate) &'a VncInfo);

impl Server {
    /// The server's current state.
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
