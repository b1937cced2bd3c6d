use super::{SUBSYSTEM, SUBSYSTEM_VENDOR};
use crate::{
    pci::{ClassCode, ConfigSpace, ConfigState, Identity, PciAddress, PciFunction},
    state::{StateError, Stateful},
};

/// Command, which can't be changed: ICH9 has I/O space, memory space and bus mastering always on. OVMF looks for serial ports and a
/// keyboard only behind a bridge that has the first two.
const COMMAND: usize = 0x04;
const COMMAND_VALUE: [u8; 2] = [0x07, 0];
/// ACPI base address.
const PMBASE: usize = 0x40;
/// Values at reset of the registers with base addresses, and their writable bits. Bit 0 means that they are I/O ports.
const PMBASE_RESET: [u8; 4] = [0x01, 0, 0, 0];
const PMBASE_BITS: [u8; 4] = [0x80, 0xff, 0, 0];
/// ACPI control: the destination of ACPI's interrupt, and whether the ports are decoded.
const ACPI_CNTL: usize = 0x44;
const ACPI_CNTL_BITS: u8 = 0x87;
/// Routes of PIRQ A to D, and E to H, to the PICs.
const PIRQS: [usize; 2] = [0x60, 0x68];
/// A route after a reset: to no input.
const PIRQ_RESET: u8 = 0x80;
const PIRQ_BITS: u8 = 0x8f;
/// General PM configuration 1.
const GEN_PMCON_1: usize = 0xa0;
/// Root complex base address.
const RCBA: usize = 0xf0;
const RCBA_BITS: u32 = 0xffff_c001;

/// The bridge to a PC's devices besides those on its PCI bus.
///
/// ACPI's ports are always at 600H, the address that both firmwares give them, and INTx pins lead only to the IOAPIC: the registers keep
/// what is written, and have no effect.
#[derive(Debug)]
pub struct Lpc(ConfigSpace);

impl Lpc {
    /// The address on the PCI bus.
    pub const ADDRESS: PciAddress = PciAddress::new(0x1f, 0).unwrap();

    /// The bridge after a reset.
    #[must_use]
    pub fn new() -> Self {
        let mut config = ConfigSpace::new(Identity {
            name: "ICH9 LPC bridge",
            vendor_id: 0x8086,
            device_id: 0x2918,
            revision_id: 2,
            class: ClassCode { base: 0x06, sub: 0x01, interface: 0x00 },
            subsystem_vendor_id: SUBSYSTEM_VENDOR,
            subsystem_id: SUBSYSTEM,
        });
        config.add_registers(COMMAND, COMMAND_VALUE, [0; 2]);
        config.add_registers(PMBASE, PMBASE_RESET, PMBASE_BITS);
        config.add_registers(ACPI_CNTL, [0], [ACPI_CNTL_BITS]);
        for pirqs in PIRQS {
            config.add_registers(pirqs, [PIRQ_RESET; 4], [PIRQ_BITS; 4]);
        }
        config.add_registers(GEN_PMCON_1, [0; 2], [0xff; 2]);
        config.add_registers(RCBA, [0; 4], RCBA_BITS.to_le_bytes());
        Self(config)
    }
}

impl Default for Lpc {
    fn default() -> Self {
        Self::new()
    }
}

impl Stateful for Lpc {
    type State = ConfigState;

    fn save(&self) -> Result<ConfigState, StateError> {
        Ok(self.0.save())
    }

    fn load(&mut self, state: ConfigState) -> Result<(), StateError> {
        self.0.load(&state)
    }
}

impl PciFunction for Lpc {
    fn config(&self) -> &ConfigSpace {
        &self.0
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.0
    }
}

#[cfg(test)]
#[path = "lpc_test.rs"]
mod tests;
