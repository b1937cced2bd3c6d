//! The addresses at which the memory BARs of PCI functions decode.

use std::sync::Arc;

use devices::{
    bus::Part,
    pci::{BarMemory, PciAddress},
};

/// A BAR of a function.
pub(super) type FunctionBar = (PciAddress, u8);

/// A memory BAR that decodes.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) base: u64,
    /// The parts of it that nothing covers.
    pub(super) parts: Vec<Part>,
    /// The memory behind it, if it has no registers.
    pub(super) memory: Option<Arc<BarMemory>>,
}
