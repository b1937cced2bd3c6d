//! The devices from which firmware starts.

use super::kind::Kind;
use crate::config::{BootConfig, BootDevice, BootKind, ConfigError};

/// The devices from which firmware starts, by their indices in the list of all devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// The order that is passed to firmware.
    pub(crate) told: Vec<usize>,
    /// The devices that it tries, in order, unless the user chooses another from its menu.
    pub(crate) tried: Vec<usize>,
}

impl Order {
    /// The order for firmware of this kind, as in `--boot`.
    ///
    /// SeaBIOS has no driver for network devices, and only the first disk gets the number from which it starts. By default it prefers SATA
    /// disks, so all devices are passed to it.
    ///
    /// # Errors
    ///
    /// A device in `--boot` doesn't exist.
    pub(crate) fn of(kind: Kind, boot: &BootConfig, devices: &[BootDevice]) -> Result<Self, ConfigError> {
        let asked = boot.find(devices)?;
        let is = |kind| move |at: &usize| devices[*at].kind == kind;
        let with_all = |kinds: &[BootKind]| {
            let all = kinds.iter().flat_map(|kind| (0..devices.len()).filter(is(*kind)));
            let rest: Vec<_> = all.filter(|at| !asked.contains(at)).collect();
            [&asked[..], &rest].concat()
        };
        if kind == Kind::Uefi {
            let tried = with_all(&[BootKind::Disk, BootKind::Cdrom, BootKind::Net]);
            return Ok(Self { told: asked, tried });
        }
        let mut told = with_all(&[BootKind::Disk, BootKind::Cdrom]);
        told.retain(|at| !is(BootKind::Net)(at));
        let first_disk = told.iter().copied().find(is(BootKind::Disk));
        let mut tried = told.clone();
        tried.retain(|at| !is(BootKind::Disk)(at) || Some(*at) == first_disk);
        Ok(Self { told, tried })
    }
}

#[cfg(test)]
#[path = "order_test.rs"]
mod tests;
