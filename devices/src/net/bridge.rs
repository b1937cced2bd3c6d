//! Taps that are connected to a bridge.

mod error;
mod helper;

use std::{io, path::Path};

use rustix::io::Errno;

pub use self::error::BridgeError;
use self::error::PATTERN;
use super::{InterfaceName, MacAddress, Tap, TapError, interface::Interface};

impl Tap {
    /// Makes a tap that is a port of `bridge`. The tap is deleted when its descriptors are closed. It has a queue for each of `queues`
    /// ports, and the bridge's MTU unless another is given. If nvmm lacks the permission, it uses QEMU's `helper`, by default the one that
    /// is installed.
    ///
    /// # Errors
    ///
    /// There is no such bridge, or there is no permission to join it.
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
                // The helper has set the bridge's MTU. A guest may use a smaller one.
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
        // A bridge takes the lowest address of its ports as its own, and changes it when that port is gone. This address is high.
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
