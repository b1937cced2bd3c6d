//! The screen of a machine: a picture for several viewers.
//!
//! ```text
//! video memory, registers ──▶ Screen ──refreshes──▶ Picture ──▶ viewers, each with the stamp of its last look
//! ```

mod picture;
pub mod vga;

use std::fmt::Debug;

pub use self::picture::{Picture, Rect, Stamp};

/// A device with a screen.
pub trait Screen: Send + Sync + Debug {
    /// Updates the picture, and passes it to `look`. Other viewers wait meanwhile, but the guest does not.
    fn look(&self, look: &mut dyn FnMut(&Picture));
}
