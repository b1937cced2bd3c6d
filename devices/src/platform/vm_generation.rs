//! Microsoft's "Virtual Machine Generation ID" (2012): a number by which a guest learns that it was cloned or went back in time, so that it
//! reseeds its random number generator.

use std::{fmt, sync::Arc};

use arch::memory::GuestRam;
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress};

use crate::{
    bus::{BusDevice, Effect},
    irq::Line,
    registers,
    state::{StateError, Stateful, hex},
};

/// The number: 128 random bits.
pub type GenerationId = [u8; 16];

/// A register into which ACPI's `ADDR` writes the address of the guest's memory for the number. The line is pulsed when the number changes.
pub struct VmGeneration {
    memory: GuestRam,
    id: GenerationId,
    /// The address from the guest; 0 before.
    address: u32,
    line: Arc<dyn Line>,
}

/// The state. The number is not changed when a machine moves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    #[serde(with = "hex")]
    id: GenerationId,
    address: u32,
}

impl VmGeneration {
    /// The number of ports.
    pub const LEN: u64 = size_of::<u32>() as u64;

    /// Makes a device with this `id`, for a guest with `memory`.
    #[must_use]
    pub fn new(id: GenerationId, memory: GuestRam, line: Arc<dyn Line>) -> Self {
        Self { memory, id, address: 0, line }
    }

    /// Changes the guest's `id`, and notifies the guest. To be called before it runs again.
    pub fn change(&mut self, id: GenerationId) {
        self.id = id;
        if self.write_id() {
            self.line.set(true);
            self.line.set(false);
        }
    }

    /// Writes the number to the guest's address. Returns whether that is set and in memory.
    fn write_id(&self) -> bool {
        let address = u64::from(self.address);
        let is_written = address != 0 && self.memory.write_slice(&self.id, GuestAddress(address)).is_ok();
        if is_written {
            self.memory.written().add(address, self.id.len() as u64);
        }
        is_written
    }
}

/// Leaves out the number, which is a seed and must not be logged.
impl fmt::Debug for VmGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmGeneration").field("address", &self.address).finish_non_exhaustive()
    }
}

impl BusDevice for VmGeneration {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        registers::read(&self.address.to_le_bytes(), offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        if let (0, &[a, b, c, d]) = (offset, data) {
            self.address = u32::from_le_bytes([a, b, c, d]);
            self.write_id();
        }
        Effect::None
    }
}

impl Stateful for VmGeneration {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State { id: self.id, address: self.address })
    }

    fn load(&mut self, State { id, address }: State) -> Result<(), StateError> {
        (self.id, self.address) = (id, address);
        Ok(())
    }
}

#[cfg(test)]
#[path = "vm_generation_test.rs"]
mod tests;
