//! The replacement of [`viewers`](self) in an nvmm without the feature `vnc`.

use std::sync::Arc;

use anyhow::bail;
use devices::{display::Screen, input::Input};

use super::{Opening, screen::Viewers};
use crate::config::VncConfig;

/// The VNC server, which doesn't exist here.
#[derive(Debug)]
pub(super) enum OpenViewers {}

impl OpenViewers {
    /// Always fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub(super) fn open(
        VncConfig { place, .. }: &VncConfig,
        _opening: &mut Opening<'_>,
        _screen: Arc<dyn Screen>,
        _input: Arc<dyn Input>,
    ) -> anyhow::Result<Self> {
        bail!("--display {place}: this nvmm was built without its VNC server (the cargo feature vnc)")
    }

    /// The server as the machine has it.
    pub(super) fn viewers(&self) -> Viewers {
        Viewers::new("", None)
    }
}
