use std::{
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{Bar, ConfigSpace, Identity, host_bridge::HostBridge};
use crate::bus::{Effect, Remap};

/// A PCI function as its configuration space is reached.
pub trait PciFunction: Send + Debug {
    /// Its configuration space.
    fn config(&self) -> &ConfigSpace;

    /// Its configuration space.
    fn config_mut(&mut self) -> &mut ConfigSpace;

    /// Reads `data.len()` bytes of configuration space.
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.config().read(offset, data);
    }

    /// Writes to configuration space.
    fn config_write(&mut self, offset: u16, data: &[u8]) -> Effect {
        self.config_mut().write(offset, data)
    }
}

/// A function as the bus and the machine share it.
pub type SharedFunction = Arc<Mutex<dyn PciFunction>>;

/// Why a function can't be in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The bus has 32.
    #[error("pci bus 0 has no slot {0}: its slots are 1 to {last}", last = PciRoot::SLOTS - 1)]
    NoSuchSlot(u8),
    /// Something is there.
    #[error("pci slot {0} is taken")]
    Taken(u8),
}

/// What is at a slot, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its device number on bus 0.
    pub slot: u8,
    /// What it is.
    pub identity: Identity,
    /// Its BAR.
    pub bar: Option<Bar>,
}

/// Bus 0, shared by [`ConfigPorts`](super::ConfigPorts), [`Ecam`](super::Ecam) and whoever adds functions. What is added stays.
#[derive(Debug)]
pub struct PciRoot {
    slots: [OnceLock<SharedFunction>; Self::SLOTS],
}

impl PciRoot {
    /// How many devices a bus has.
    pub const SLOTS: usize = 32;

    /// A bus with a host bridge in slot 0.
    #[must_use]
    pub fn new() -> Self {
        let slots: [OnceLock<SharedFunction>; Self::SLOTS] = [const { OnceLock::new() }; Self::SLOTS];
        slots[0].get_or_init(|| Arc::new(Mutex::new(HostBridge::new())));
        Self { slots }
    }

    /// Puts `function` in `slot`.
    ///
    /// # Errors
    ///
    /// There is no such slot, or it is taken.
    pub fn insert(&self, slot: u8, function: SharedFunction) -> Result<(), SlotError> {
        let place = self.slots.get(usize::from(slot)).ok_or(SlotError::NoSuchSlot(slot))?;
        place.set(function).map_err(|_| SlotError::Taken(slot))
    }

    /// What is on the bus, in order.
    pub fn functions(&self) -> impl Iterator<Item = FunctionInfo> {
        (0..).zip(&self.slots).filter_map(|(slot, function)| {
            let function = lock(function.get()?);
            let config = function.config();
            Some(FunctionInfo { slot, identity: config.identity(), bar: config.bar() })
        })
    }

    /// Tells the function whose BAR the machine has moved, after [`Effect::Remap`] and a successful
    /// [`Bus::remap`](crate::bus::Bus::remap). Without it, as when another device is in the way, the function is still
    /// where it was.
    pub fn moved(&self, remap: Remap) {
        for function in self.slots.iter().filter_map(OnceLock::get) {
            lock(function).config_mut().moved(remap);
        }
    }

    /// Reads from the function's configuration space. What is not there reads all ones.
    pub(super) fn read(&self, slot: u8, function: u8, register: u16, data: &mut [u8]) {
        match self.find(slot, function) {
            Some(mut function) => function.config_read(register, data),
            None => data.fill(0xff),
        }
    }

    /// Writes to the function's configuration space.
    pub(super) fn write(&self, slot: u8, function: u8, register: u16, data: &[u8]) -> Effect {
        self.find(slot, function).map_or(Effect::None, |mut function| function.config_write(register, data))
    }

    fn find(&self, slot: u8, function: u8) -> Option<MutexGuard<'_, dyn PciFunction + 'static>> {
        let device = self.slots.get(usize::from(slot))?.get()?;
        (function == 0).then(|| lock(device))
    }
}

impl Default for PciRoot {
    fn default() -> Self {
        Self::new()
    }
}

fn lock(function: &SharedFunction) -> MutexGuard<'_, dyn PciFunction + 'static> {
    function.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "root_test.rs"]
pub(super) mod tests;
