//! The places that a jailed process is moved to: control groups, a network namespace, a root directory.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::fstatfs,
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::JailError;

/// The types of file systems for control groups, of versions 1 and 2: `linux/magic.h`.
const CGROUPS: [i64; 2] = [0x27_e0eb, 0x6367_7270];

/// Moves the process with all of its threads into a control group.
pub(super) fn join_cgroup(path: &Path) -> Result<(), JailError> {
    let failed = |error| JailError::Cgroup(path.to_owned(), error);
    let folder = File::open(path).map_err(failed)?;
    let kind = fstatfs(&folder).map_err(|error| failed(error.into()))?.f_type;
    if !CGROUPS.contains(&kind) {
        return Err(JailError::NoCgroup(path.to_owned()));
    }
    let processes = path.join("cgroup.procs");
    let mut file = File::options().write(true).open(&processes).map_err(|error| match error.kind() {
        // For example, the directory above the hierarchies of version 1.
        io::ErrorKind::NotFound => JailError::NoCgroup(path.to_owned()),
        _ => failed(error),
    })?;
    // 0 means the writing process.
    file.write_all(b"0").map_err(failed)
}

/// Moves the calling thread into a network namespace.
pub(super) fn join_netns(path: &Path) -> Result<(), JailError> {
    let file = File::options()
        .read(true)
        // Don't block on a pipe.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| JailError::Netns(path.to_owned(), error))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|error| match error {
        Errno::INVAL => JailError::NoNetns(path.to_owned()),
        Errno::PERM => JailError::NetnsRights(path.to_owned()),
        error => JailError::Netns(path.to_owned(), error.into()),
    })
}

/// Opens the directory that will be the root, and finds its canonical path.
pub(super) fn open_root(path: &Path) -> Result<(PathBuf, File), JailError> {
    let failed = |error| JailError::Chroot(path.to_owned(), error);
    let flags = libc::O_DIRECTORY | libc::O_PATH;
    let folder = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    Ok((fs::canonicalize(path).map_err(failed)?, folder))
}
