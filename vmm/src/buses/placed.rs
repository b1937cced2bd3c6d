//! The addresses at which the BARs of PCI functions are decoded.

use std::{fmt, sync::Arc};

use devices::{
    bus::Part,
    pci::{BarMemory, PciAddress},
};

/// A BAR of a function.
pub(super) type FunctionBar = (PciAddress, u8);

/// A decoded BAR.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) base: u64,
    /// The parts of it that nothing covers.
    pub(super) parts: Vec<Part>,
    /// The BAR's memory, if it has no registers.
    pub(super) memory: Option<Arc<BarMemory>>,
}

/// An address in one of the two address spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BusAddress {
    Port(u64),
    Memory(u64),
}

/// A write by a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Write {
    pub(crate) at: BusAddress,
    /// The value, of 16 bits; `None` for any write.
    pub(crate) value: Option<u16>,
}

impl Placed {
    /// Returns the address of an offset, if nothing covers it.
    pub(super) fn visible(&self, offset: u64) -> Option<u64> {
        let at = self.base.checked_add(offset)?;
        self.parts.iter().any(|part| part.first <= at && at <= part.last).then_some(at)
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port:#x}"),
            Self::Memory(address) => write!(f, "{address:#x}"),
        }
    }
}
