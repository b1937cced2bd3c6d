//! The description of the user's program in the image for the last level.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The last level's folder that contains the program, under its own name.
const DIRECTORY: &str = "/exec";

/// A program and its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The name of its file.
    pub file: OsString,
    /// The arguments.
    pub arguments: Vec<OsString>,
    /// The size in MiB of all files that the user gave.
    pub files_mib: u32,
    /// The memory in MiB that the user gave level 1, if any.
    pub first_mib: u32,
}

impl Program {
    /// The path at the last level.
    pub(in crate::nest) fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.file)
    }

    /// The name in messages.
    pub(in crate::nest) fn name(&self) -> String {
        Path::new(&self.file).display().to_string()
    }
}
