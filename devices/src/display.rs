//! The screen of a machine: a picture that several viewers look at.
//!
//! ```text
//! video memory, registers ──▶ Screen ──refreshes──▶ Picture ──▶ viewers, each with the stamp of its last look
//! ```

mod picture;
pub mod vga;

use std::fmt::Debug;

pub use self::picture::{Picture, Rect, Stamp};

/// A device that shows something.
pub trait Screen: Send + Sync + Debug {
    /// Brings the picture up to date, and lets `look` see it. Others wait meanwhile, the guest does not.
    fn look(&self, look: &mut dyn FnMut(&Picture));
}
