//! Reasons why there is no jail.

use std::{io, path::PathBuf};

use devices::printable::ToPrintable;
use thiserror::Error;

/// Reasons why there is no jail.
#[derive(Debug, Error)]
pub enum JailError {
    /// Only root can become another user.
    #[error("--user {}: only root can become another user; start nvmm as root, or leave --user out", .0.printable())]
    NotRoot(String),
    /// The value of `--user` is invalid.
    #[error("--user {}: {why}", given.printable())]
    Name {
        /// The given value.
        given: String,
        /// The fault in them.
        why: String,
    },
    /// The host refuses to change to the user.
    #[error("--user {}", .0.printable())]
    User(String, #[source] io::Error),
    /// The new root can't be used.
    #[error("--chroot {}", .0.printable())]
    Chroot(PathBuf, #[source] io::Error),
    /// The network namespace can't be used.
    #[error("--netns {}", .0.printable())]
    Netns(PathBuf, #[source] io::Error),
    /// The file is no network namespace.
    #[error("--netns {}: this is no network namespace; give one such as /run/netns/NAME, of ip netns add NAME", .0.printable())]
    NoNetns(PathBuf),
    /// Only root can join namespaces.
    #[error("--netns {}: joining a network namespace takes root (CAP_SYS_ADMIN)", .0.printable())]
    NetnsRights(PathBuf),
    /// The control group can't be used.
    #[error("--cgroup {}", .0.printable())]
    Cgroup(PathBuf, #[source] io::Error),
    /// The directory is no control group.
    #[error("--cgroup {}: this is no control group; give a directory that mkdir made below /sys/fs/cgroup", .0.printable())]
    NoCgroup(PathBuf),
    /// Giving up root's rights failed.
    #[error("--user: root's rights can't be given up")]
    Rights(#[source] io::Error),
    /// Root's rights were given up, but could be regained.
    #[error(
        "--user: this kernel would give root's rights back; run nvmm in a container or a unit of systemd's instead"
    )]
    WayBack,
}
