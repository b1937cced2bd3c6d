//! Taps that are ports of a bridge.

mod helper;

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use thiserror::Error;

use super::{
    InterfaceName, InterfaceNameError, MacAddress, Tap, TapError, interface::Interface,
    tap::error::by_administrator,
};
use crate::printable::ToPrintable;

/// The name of a tap for a bridge: the kernel's number is in the place of `%d`.
const PATTERN: &str = "nvmm%d";

/// The reason why there is no tap on a bridge.
#[derive(Debug, Error)]
pub enum BridgeError {
    /// The text is no name.
    #[error("{0:?} names no bridge")]
    Name(String, #[source] InterfaceNameError),
    /// There is no such interface.
    #[error(
        "there is no bridge {0}; an administrator makes it: ip link add {0} type bridge && ip link set dev {0} up"
    )]
    Missing(InterfaceName),
    /// It is another kind of interface.
    #[error("the interface {0} is no bridge")]
    NotBridge(InterfaceName),
    /// There is no tap.
    #[error("no tap for the bridge {0}")]
    Tap(InterfaceName, #[source] Box<TapError>),
    /// The tap can't be its port.
    #[error("a tap can't join the bridge {0}")]
    Join(InterfaceName, #[source] io::Error),
    /// It takes rights, or somebody who has them.
    #[error(
        "no permission to join the bridge {bridge}, and no qemu-bridge-helper is installed, which could (Debian's package \
         qemu-system-common); {}",
        by_administrator(PATTERN, *.queues, Some(*.bridge))
    )]
    NotPermitted {
        /// The bridge.
        bridge: InterfaceName,
        /// The queues of the tap.
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
        /// Its words.
        text: String,
    },
}

impl Tap {
    /// Makes a tap that is a port of `bridge`. Both are gone with its descriptors. It has a queue for each of `queues` ports, and
    /// the bridge's MTU, unless another is given. Without the right to do so, QEMU's `helper` does it, by default the one
    /// that is installed.
    ///
    /// # Errors
    ///
    /// There is no such bridge, or nobody has the right to join it.
    pub fn on_bridge(
        bridge: &str,
        queues: u16,
        mtu: Option<u16>,
        helper: Option<&Path>,
    ) -> Result<Self, BridgeError> {
        let name: InterfaceName =
            bridge.parse().map_err(|error| BridgeError::Name(bridge.to_string(), error))?;
        let bridge = Interface::new(name).map_err(|error| BridgeError::Join(name, error))?;
        if bridge.index().is_err() {
            return Err(BridgeError::Missing(name));
        }
        if !bridge.is_up().unwrap_or(true) {
            log::warn!(
                "the bridge {name} is down, and no frame comes or goes; an administrator brings it up: ip link set dev {name} up"
            );
        }
        let bridge_mtu = bridge.mtu().ok().and_then(|mtu| u16::try_from(mtu).ok());
        let tap = match Self::open(PATTERN, queues, mtu.or(bridge_mtu)) {
            Ok(tap) => match join(&tap, name) {
                Err(BridgeError::Join(_, error)) if lacks_right(&error) => None,
                joined => Some(joined.map(|()| tap)?),
            },
            Err(TapError::NotPermitted { .. }) => None,
            Err(TapError::Driver(error)) if lacks_right(&error) => None,
            Err(error) => return Err(BridgeError::Tap(name, error.into())),
        };
        let tap = match tap {
            Some(tap) => tap,
            None => {
                let descriptor = helper::open(helper, name, queues)?;
                let tap = Self::from_descriptors(vec![descriptor]);
                let tap = tap.map_err(|error| BridgeError::Tap(name, error.into()))?;
                // The helper has given it the bridge's. A guest may use a smaller one.
                tap.with_mtu(mtu.into_iter().chain(bridge_mtu).min())
            }
        };
        let text = format!("tap {} on bridge {name}", tap.interface());
        Ok(tap.named(text))
    }
}

/// Makes `tap` a port of `bridge`.
fn join(tap: &Tap, bridge: InterfaceName) -> Result<(), BridgeError> {
    let join = || {
        let interface = Interface::new(tap.interface())?;
        // A bridge takes the lowest address among its ports as its own, and another when that port is gone. This one is high.
        let MacAddress([_, rest @ ..]) = interface.address()?;
        let [b, c, d, e, f] = rest;
        interface.set_address(MacAddress([0xfe, b, c, d, e, f]))?;
        interface.join(bridge)
    };
    join().map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::OPNOTSUPP | Errno::INVAL) => BridgeError::NotBridge(bridge),
        _ => BridgeError::Join(bridge, error),
    })
}

fn lacks_right(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
#[path = "bridge_test.rs"]
mod tests;
