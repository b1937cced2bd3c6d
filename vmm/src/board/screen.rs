//! The screen of a machine that is built.

use std::sync::Arc;

use arch::boot::Framebuffer;
use devices::display::Screen;

/// A machine's screen.
#[derive(Clone, Debug)]
pub(crate) struct PluggedScreen {
    /// The monitor.
    pub(crate) screen: Arc<dyn Screen>,
    /// The mode that a kernel finds, if there is no firmware to set one.
    pub(crate) framebuffer: Option<Framebuffer>,
}
