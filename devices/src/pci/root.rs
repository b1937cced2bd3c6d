use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{Decoded, Identity, PciAddress, function::PciFunction, host_bridge::HostBridge};
use crate::bus::{Effect, Target};

/// A function, shared by the bus and the machine.
pub type SharedFunction = Arc<Mutex<dyn PciFunction>>;

/// The registers in a function's BAR, as a target on a [`Bus`](crate::bus::Bus).
#[derive(Debug)]
pub struct BarTarget {
    function: SharedFunction,
    bar: u8,
}

impl BarTarget {
    /// The BAR of `function` in the register `bar`.
    #[must_use]
    pub fn new(function: SharedFunction, bar: u8) -> Self {
        Self { function, bar }
    }
}

impl Target for BarTarget {
    fn read(&self, offset: u64, data: &mut [u8]) {
        lock(&self.function).bar_read(self.bar, offset, data);
    }

    fn write(&self, offset: u64, data: &[u8]) -> Effect {
        lock(&self.function).bar_write(self.bar, offset, data)
    }
}

/// Reasons why a function can't be put on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The address is taken.
    #[error("pci address {0} is taken")]
    Taken(PciAddress),
    /// The device has no function 0. A guest looks for further functions only if it finds function 0.
    #[error("pci address {0} needs a function at {first}", first = .0.first_function())]
    NoFirstFunction(PciAddress),
    /// Every address is taken.
    #[error(
        "pci bus 0 is full: it has room for {max} devices",
        max = PciRoot::MAX_FUNCTIONS
    )]
    Full,
}

/// Facts about a function, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// The address.
    pub address: PciAddress,
    /// The identity.
    pub identity: Identity,
    /// The BARs, with their addresses.
    pub bars: Vec<Decoded>,
    /// The INTx pin; 1 is INTA#.
    pub interrupt_pin: Option<u8>,
}

/// Bus 0, shared by [`ConfigPorts`](super::ConfigPorts), [`Ecam`](super::Ecam) and code that adds functions. Functions can't be removed.
#[derive(Debug)]
pub struct PciRoot {
    /// The functions by address.
    functions: [OnceLock<SharedFunction>; PciAddress::COUNT],
}

impl PciRoot {
    /// The most functions besides the host bridge: 8 in each of 31 devices.
    pub const MAX_FUNCTIONS: usize = (PciAddress::DEVICES as usize - 1) * PciAddress::FUNCTIONS as usize;

    /// A bus with the host bridge of a machine without firmware.
    #[must_use]
    pub fn new() -> Self {
        Self::with_host_bridge(Arc::new(Mutex::new(HostBridge::new())))
    }

    /// A bus with this host bridge at 00:00.0.
    #[must_use]
    pub fn with_host_bridge(bridge: SharedFunction) -> Self {
        let functions: [OnceLock<SharedFunction>; PciAddress::COUNT] =
            [const { OnceLock::new() }; PciAddress::COUNT];
        functions[PciAddress::HOST_BRIDGE.index()].get_or_init(|| bridge);
        Self { functions }
    }

    /// The addresses of configuration space in memory, for an [`Ecam`](super::Ecam), if the host bridge decodes them now.
    #[must_use]
    pub fn ecam(&self) -> Option<Range<u64>> {
        lock(self.find(PciAddress::HOST_BRIDGE)?).ecam()
    }

    /// The address for the next function: function 0 of every device comes before function 1 of any device.
    ///
    /// # Errors
    ///
    /// There is none left.
    pub fn next_address(&self) -> Result<PciAddress, SlotError> {
        PciAddress::in_order().find(|address| self.find(*address).is_none()).ok_or(SlotError::Full)
    }

    /// Puts `function` at `address`.
    ///
    /// # Errors
    ///
    /// The address is taken, or its device has no function 0.
    pub fn insert(&self, address: PciAddress, function: SharedFunction) -> Result<(), SlotError> {
        let first = self.find(address.first_function());
        if address.function() != 0 && first.is_none() {
            return Err(SlotError::NoFirstFunction(address));
        }
        self.functions[address.index()].set(function).map_err(|_| SlotError::Taken(address))?;
        if let Some(first) = first {
            lock(first).config_mut().set_multi_function();
        }
        Ok(())
    }

    /// The functions by address.
    pub fn iter(&self) -> impl Iterator<Item = (PciAddress, &SharedFunction)> {
        PciAddress::all().filter_map(|address| Some((address, self.find(address)?)))
    }

    /// Returns the functions on the bus, by address.
    pub fn functions(&self) -> impl Iterator<Item = FunctionInfo> {
        self.iter().map(|(address, function)| {
            let function = lock(function);
            let config = function.config();
            FunctionInfo {
                address,
                identity: config.identity(),
                bars: config.bars().collect(),
                interrupt_pin: config.interrupt_pin(),
            }
        })
    }

    /// Reads from a function's configuration space. Without a function, reads all ones.
    pub(super) fn read(&self, address: PciAddress, register: u16, data: &mut [u8]) {
        match self.find(address) {
            Some(function) => lock(function).config_read(register, data),
            None => data.fill(0xff),
        }
    }

    /// Writes to the function's configuration space.
    pub(super) fn write(&self, address: PciAddress, register: u16, data: &[u8]) -> Effect {
        self.find(address).map_or(Effect::None, |function| lock(function).config_write(register, data))
    }

    fn find(&self, address: PciAddress) -> Option<&SharedFunction> {
        self.functions[address.index()].get()
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
