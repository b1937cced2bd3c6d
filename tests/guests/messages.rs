//! Interrupts of PCI functions by messages.

use crate::rt::{
    self,
    pci::{self, Function},
};

/// PCI 3.0, "Capability IDs": MSI-X.
const MSI_X: u8 = 0x11;

/// Sets a function's first vector to an interrupt of the first processor, and enables MSI-X.
pub fn enable(function: impl Into<Function>, vector: u32) {
    let function = function.into();
    let mut at: u8 = rt::read(pci::config(function, 0x34));
    while rt::read::<u8>(pci::config(function, at.into())) != MSI_X {
        at = rt::read(pci::config(function, u16::from(at) + 1));
    }
    let table: u32 = rt::read(pci::config(function, u16::from(at) + 4));
    let entry = pci::bar(function, (table & 7) as u16) + u64::from(table & !7);
    for (word, value) in (0..).step_by(4).zip([0xfee0_0000_u32, 0, vector, 0]) {
        rt::write(entry + word, value);
    }
    rt::write(pci::config(function, u16::from(at) + 2), 0x8000_u16);
}
