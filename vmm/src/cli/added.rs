//! The result of adding a domain's options to a command line.

use std::ffi::OsString;

use super::qemu::Told;

/// A command line with the options of a file.
#[derive(Debug)]
pub(super) struct Added {
    /// All arguments.
    pub words: Vec<OsString>,
    /// The notes for the user about them.
    pub told: Told,
    /// The text of the file.
    pub text: String,
}
