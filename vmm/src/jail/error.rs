//! The reasons why there is no jail.

use std::{io, path::PathBuf};

use devices::printable::ToPrintable;
use thiserror::Error;

/// The reason why there is no jail.
#[derive(Debug, Error)]
pub enum JailError {
    /// Only root may become somebody else.
    #[error("--user {}: only root can become another user; start nvmm as root, or leave --user out", .0.printable())]
    NotRoot(String),
    /// A word of `--user`.
    #[error("--user {}: {why}", given.printable())]
    Name {
        /// The words.
        given: String,
        /// The fault in them.
        why: String,
    },
    /// The host refuses.
    #[error("--user {}", .0.printable())]
    User(String, #[source] io::Error),
    /// The new root.
    #[error("--chroot {}", .0.printable())]
    Chroot(PathBuf, #[source] io::Error),
    /// A network namespace that is there.
    #[error("--netns {}", .0.printable())]
    Netns(PathBuf, #[source] io::Error),
    /// Something else is there.
    #[error("--netns {}: this is no network namespace; give one such as /run/netns/NAME, of ip netns add NAME", .0.printable())]
    NoNetns(PathBuf),
    /// Joining namespaces is root's.
    #[error("--netns {}: joining a network namespace takes root (CAP_SYS_ADMIN)", .0.printable())]
    NetnsRights(PathBuf),
    /// A control group that is there.
    #[error("--cgroup {}", .0.printable())]
    Cgroup(PathBuf, #[source] io::Error),
    /// Something else is there.
    #[error("--cgroup {}: this is no control group; give a directory that mkdir made below /sys/fs/cgroup", .0.printable())]
    NoCgroup(PathBuf),
    /// Root's rights can't be given up.
    #[error("--user: root's rights can't be given up")]
    Rights(#[source] io::Error),
    /// They are given up, but not for good.
    #[error(
        "--user: this kernel would give root's rights back; run nvmm in a container or a unit of systemd's instead"
    )]
    WayBack,
}
