//! The screen of a machine that is built, and what a person at it has.

use std::sync::{Arc, Mutex};

use arch::boot::Framebuffer;
use devices::{display::Screen, input::Typist};

/// A machine's screen, with its keyboard.
#[derive(Clone, Debug)]
pub(crate) struct PluggedScreen {
    /// The monitor.
    pub(crate) screen: Arc<dyn Screen>,
    /// The mode that a kernel finds, if there is no firmware to set one.
    pub(crate) framebuffer: Option<Framebuffer>,
    /// The one who presses keys for programs.
    pub(crate) typist: Arc<Mutex<Typist>>,
}
