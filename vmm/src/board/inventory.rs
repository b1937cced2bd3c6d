//! The places of devices.

use std::{fmt, ops::Range};

use arch::acpi::HardwareId;
use devices::pci::{Decoded, PciAddress};

/// A device with fixed ports in ACPI's namespace.
#[derive(Clone, Copy, Debug)]
pub struct AcpiName {
    /// Capital letters and digits, such as `COM1`.
    pub name: [u8; 4],
    /// Its kind.
    pub hid: HardwareId,
    /// Tells it from others of its kind.
    pub uid: u8,
}

/// A device in its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its name, for people.
    pub name: String,
    /// The ports or the PCI address that reach it.
    pub at: At,
    /// Its interrupt line.
    pub gsi: Option<u32>,
    /// Its name in ACPI, if it has one.
    pub acpi: Option<AcpiName>,
    /// The host's side of it.
    pub backend: Option<String>,
}

/// The ports or the PCI address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// I/O ports.
    Ports(Range<u16>),
    /// A function of PCI bus 0.
    Pci {
        /// Its address.
        address: PciAddress,
        /// Its BARs, and where they are.
        bars: Vec<Decoded>,
    },
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports(ports) => write!(f, "port {:#x}", ports.start),
            Self::Pci { address, .. } => address.fmt(f),
        }
    }
}
