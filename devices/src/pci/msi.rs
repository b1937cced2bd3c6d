//! MSI: one message, in configuration space.

use std::{mem::offset_of, sync::Arc};

use bitfield_struct::bitfield;
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::config::ConfigSpace;
use crate::irq::{Msi, MsiMessage};

/// PCI 3.0, "Message Control for MSI".
#[bitfield(u16)]
struct Control {
    /// The function interrupts by MSI, not by INTx.
    enable: bool,
    #[bits(3)]
    __: u8,
    #[bits(3)]
    __: u8,
    address_64: bool,
    __: u8,
}

/// PCI 3.0, "MSI Capability Structure", for 64-bit message addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, IntoBytes, FromZeros, Immutable)]
struct Capability {
    id: u8,
    next: u8,
    control: u16,
    address_low: u32,
    address_high: u32,
    data: u16,
    reserved: u16,
}

const ID: u8 = 0x05;

/// A function's one message, as programmed by the guest.
#[derive(Debug)]
pub struct MsiRegisters {
    msi: Arc<dyn Msi>,
    /// The capability's offset.
    at: usize,
    sent: Option<MsiMessage>,
}

impl MsiRegisters {
    /// Gives `config` the capability.
    pub fn new(config: &mut ConfigSpace, msi: Arc<dyn Msi>) -> Self {
        let control = Control::new().with_address_64(true).into();
        let capability = Capability { id: ID, control, ..Capability::new_zeroed() };
        let writable = Capability {
            control: Control::new().with_enable(true).into(),
            address_low: !3,
            address_high: u32::MAX,
            data: u16::MAX,
            ..Capability::new_zeroed()
        };
        let at = config.add_capability(&capability, &writable);
        Self { msi, at, sent: None }
    }

    /// Applies what the guest has written to configuration space. Returns whether the function uses MSI.
    pub fn follow(&mut self, config: &ConfigSpace) -> bool {
        let word = |field| u32::from_le_bytes(config.get(self.at + field));
        let half = |field| u16::from_le_bytes(config.get(self.at + field));
        let enabled = Control::from(half(offset_of!(Capability, control))).enable();
        if enabled {
            let low = word(offset_of!(Capability, address_low));
            let high = word(offset_of!(Capability, address_high));
            let data = half(offset_of!(Capability, data)).into();
            let message = MsiMessage { address: u64::from(high) << 32 | u64::from(low), data };
            if self.sent.replace(message) != Some(message) {
                self.msi.set_message(message);
            }
        }
        enabled
    }
}
