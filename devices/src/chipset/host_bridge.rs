use std::ops::Range;

use bitfield_struct::bitfield;

use super::{SUBSYSTEM, SUBSYSTEM_VENDOR};
use crate::{
    bus::Effect,
    pci::{ClassCode, ConfigSpace, ConfigState, Identity, PciFunction},
    state::{StateError, Stateful},
};

/// PCI Express register range base address.
const PCIEXBAR: usize = 0x60;
/// Programmable attribute map, seven bytes.
const PAM: usize = 0x90;
/// System management RAM control.
const SMRAM: usize = 0x9d;

/// The bits of PAM that can be written. Each byte covers two memory areas, with a bit for reads and one for writes for each; the first byte
/// has one area, the BIOS's.
const PAM_BITS: [u8; 7] = [0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33];
/// The bits of SMRAM that can be written: opened, closed, locked, enabled.
const SMRAM_BITS: u8 = 0x78;
/// SMRAM after a reset: the base segment is A0000H.
const SMRAM_RESET: u8 = 0x02;

const MIB: u64 = 1 << 20;

/// PCIEXBAR.
#[bitfield(u64)]
struct PciExpressBase {
    /// ECAM is decoded.
    enable: bool,
    /// A code for the number of buses: see [`PciExpressBase::len`].
    #[bits(2)]
    length: u8,
    #[bits(23)]
    __: u32,
    /// The address, in units of 64 MiB.
    #[bits(10)]
    base: u64,
    #[bits(28)]
    __: u32,
}

impl PciExpressBase {
    /// The length for 256, 128 or 64 buses; the fourth code is reserved.
    fn len(self) -> Option<u64> {
        match self.length() {
            0 => Some(256 * MIB),
            1 => Some(128 * MIB),
            2 => Some(64 * MIB),
            _ => None,
        }
    }
}

/// The bridge between the CPU and bus 0, which can move ECAM.
#[derive(Debug)]
pub struct HostBridge(ConfigSpace);

impl HostBridge {
    /// The bridge after a reset: ECAM is not decoded.
    #[must_use]
    pub fn new() -> Self {
        let mut config = ConfigSpace::new(Identity {
            name: "Q35 host bridge",
            vendor_id: 0x8086,
            device_id: 0x29c0,
            revision_id: 0,
            class: ClassCode { base: 0x06, sub: 0x00, interface: 0x00 },
            subsystem_vendor_id: SUBSYSTEM_VENDOR,
            subsystem_id: SUBSYSTEM,
        });
        let base = PciExpressBase::new().with_enable(true).with_length(3).with_base(0x3ff);
        config.add_registers(PCIEXBAR, [0; 8], u64::from(base).to_le_bytes());
        config.add_registers(PAM, [0; 7], PAM_BITS);
        config.add_registers(SMRAM, [SMRAM_RESET], [SMRAM_BITS]);
        Self(config)
    }
}

impl Default for HostBridge {
    fn default() -> Self {
        Self::new()
    }
}

impl Stateful for HostBridge {
    type State = ConfigState;

    fn save(&self) -> Result<ConfigState, StateError> {
        Ok(self.0.save())
    }

    fn load(&mut self, state: ConfigState) -> Result<(), StateError> {
        self.0.load(&state)
    }
}

impl PciFunction for HostBridge {
    fn config(&self) -> &ConfigSpace {
        &self.0
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.0
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) -> Effect {
        let before = self.ecam();
        let effect = self.0.write(offset, data);
        if self.ecam() == before { effect } else { Effect::Decode }
    }

    fn ecam(&self) -> Option<Range<u64>> {
        let register = PciExpressBase::from(u64::from_le_bytes(self.0.get(PCIEXBAR)));
        let len = register.len().filter(|_| register.enable())?;
        // Address bits below the length are ignored.
        let start = register.base() * (64 * MIB) / len * len;
        Some(start..start + len)
    }
}

#[cfg(test)]
#[path = "host_bridge_test.rs"]
mod tests;
