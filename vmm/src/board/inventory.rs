//! The addresses of devices.

use std::{fmt, ops::Range};

use arch::acpi::HardwareId;
use devices::pci::{Decoded, PciAddress};

/// A device with fixed ports in ACPI's namespace.
#[derive(Clone, Copy, Debug)]
pub struct AcpiName {
    /// The name: capital letters and digits, such as `COM1`.
    pub name: [u8; 4],
    /// The kind.
    pub hid: HardwareId,
    /// A number that tells it from others of its kind.
    pub uid: u8,
}

/// A device with its address.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The name, for people.
    pub name: String,
    /// The ports or its PCI address.
    pub at: At,
    /// The interrupt line.
    pub gsi: Option<u32>,
    /// The name in ACPI, if it has one.
    pub acpi: Option<AcpiName>,
    /// The host's side of it, such as a file.
    pub backend: Option<String>,
}

/// The ports or the PCI address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// I/O ports.
    Ports(Range<u16>),
    /// A function of PCI bus 0.
    Pci {
        /// The address.
        address: PciAddress,
        /// The BARs, with their addresses.
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
