//! Reasons why there is no tap on a bridge.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::super::{InterfaceName, InterfaceNameError, TapError, tap::error::by_administrator};
use crate::printable::ToPrintable;

/// The name of a tap for a bridge. The kernel puts a number in the place of `%d`.
pub(super) const PATTERN: &str = "nvmm%d";

/// Reasons why there is no tap on a bridge.
#[derive(Debug, Error)]
pub enum BridgeError {
    /// The text can't be a name.
    #[error("{0:?} names no bridge")]
    Name(String, #[source] InterfaceNameError),
    /// There is no such interface.
    #[error(
        "there is no bridge {0}; an administrator makes it: ip link add {0} type bridge && ip link set dev {0} up"
    )]
    Missing(InterfaceName),
    /// The interface is no bridge.
    #[error("the interface {0} is no bridge")]
    NotBridge(InterfaceName),
    /// The tap can't be made.
    #[error("no tap for the bridge {0}")]
    Tap(InterfaceName, #[source] Box<TapError>),
    /// The tap can't join the bridge.
    #[error("a tap can't join the bridge {0}")]
    Join(InterfaceName, #[source] io::Error),
    /// nvmm may not join taps to bridges, and no helper is installed.
    #[error(
        "no permission to join the bridge {bridge}, and no qemu-bridge-helper is installed, which could (Debian's package \
         qemu-system-common); {}",
        by_administrator(PATTERN, *.queues, Some(*.bridge))
    )]
    NotPermitted {
        /// The bridge.
        bridge: InterfaceName,
        /// The number of the tap's queues.
        queues: u16,
    },
    /// The helper's taps have one queue.
    #[error("no permission to join the bridge {0}; {path} makes taps of one queue: leave queues= out", path = .1.printable())]
    HelperQueues(InterfaceName, PathBuf),
    /// The helper can't be started.
    #[error("{}", .0.printable())]
    Start(PathBuf, #[source] io::Error),
    /// The helper refuses.
    #[error("{} gives no tap on the bridge {bridge}: {text}", .path.printable())]
    Helper {
        /// The helper.
        path: PathBuf,
        /// The bridge.
        bridge: InterfaceName,
        /// The message.
        text: String,
    },
}
