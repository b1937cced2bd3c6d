//! `--add HOST[:GUEST]`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, PathBuf};

use super::tree::{is_mounted_over, relative};

/// A file or folder of the host, with its path at the last level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Add {
    pub(super) host: PathBuf,
    guest: PathBuf,
}

/// Faults in an `--add`.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddError {
    #[error("GUEST is a path from the level's root on: HOST:/{}", .0.display())]
    Relative(PathBuf),
    #[error("GUEST can't have .. in it")]
    Parent,
    #[error("the kernel mounts its own files over {}", .0.display())]
    MountedOver(PathBuf),
    #[error("HOST is missing")]
    Nothing,
}

impl Add {
    /// Parses `HOST:GUEST`. They are separated at the last `:/`, so that HOST may contain colons.
    pub(super) fn parse(text: &OsStr) -> Result<Self, AddError> {
        let bytes = text.as_bytes();
        let path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
        let (host, guest) = match bytes.windows(2).rposition(|pair| pair == b":/") {
            Some(colon) => (path(&bytes[..colon]), path(&bytes[colon + 1..])),
            None => match bytes.iter().position(|&byte| byte == b':') {
                Some(colon) => return Err(AddError::Relative(path(&bytes[colon + 1..]))),
                None => (path(bytes), path(bytes)),
            },
        };
        if host.as_os_str().is_empty() {
            return Err(AddError::Nothing);
        }
        if !guest.is_absolute() {
            return Err(AddError::Relative(guest));
        }
        if guest.components().any(|component| component == Component::ParentDir) {
            return Err(AddError::Parent);
        }
        if is_mounted_over(&relative(&guest)) {
            return Err(AddError::MountedOver(guest));
        }
        Ok(Self { host, guest })
    }

    /// The path at the last level: if GUEST ends with a slash, the file is put into that folder with its own name.
    pub(super) fn guest(&self) -> PathBuf {
        let into = self.guest.as_os_str().as_bytes().ends_with(b"/") && !self.host.is_dir();
        match self.host.file_name().filter(|_| into) {
            Some(name) => self.guest.join(name),
            None => self.guest.clone(),
        }
    }
}

#[cfg(test)]
#[path = "add_test.rs"]
mod tests;
