//! Microsoft's "Virtual Machine Generation ID" (2012): a number by which a guest learns that it was cloned or went back in time, so that it
//! takes new seeds for random numbers.

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

/// The number, of 128 random bits.
pub type GenerationId = [u8; 16];

/// A register by which the guest tells where its memory for the number is: ACPI's `ADDR` writes it there. The line goes up and down when there is
/// another number.
pub struct VmGeneration {
    memory: GuestRam,
    id: GenerationId,
    /// The address that the guest has told; 0 before.
    address: u32,
    line: Arc<dyn Line>,
}

/// The state: the number is the same while a machine moves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    #[serde(with = "hex")]
    id: GenerationId,
    address: u32,
}

impl VmGeneration {
    /// The number of ports that it takes.
    pub const LEN: u64 = size_of::<u32>() as u64;

    /// A device with this `id`, for a guest with `memory`.
    #[must_use]
    pub fn new(id: GenerationId, memory: GuestRam, line: Arc<dyn Line>) -> Self {
        Self { memory, id, address: 0, line }
    }

    /// Gives the guest another `id`, and tells it: before it runs again.
    pub fn change(&mut self, id: GenerationId) {
        self.id = id;
        if self.write_id() {
            self.line.set(true);
            self.line.set(false);
        }
    }

    /// Writes the number where the guest wants it. Returns whether it wants it anywhere, in its memory.
    fn write_id(&self) -> bool {
        let address = u64::from(self.address);
        let is_written = address != 0 && self.memory.write_slice(&self.id, GuestAddress(address)).is_ok();
        if is_written {
            self.memory.written().add(address, self.id.len() as u64);
        }
        is_written
    }
}

/// The number is a seed, which is not for logs.
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
