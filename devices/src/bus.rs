//! Address ranges and the devices behind them: port I/O is one bus, MMIO another.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// What a write asks of the machine. Devices have no handle to it: they answer, and the caller acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the machine has to act on it"]
pub enum Effect {
    /// Nothing.
    None,
    /// A PCI function's BAR is now decoded elsewhere. For [`Bus::remap`], and if that could move it,
    /// [`PciRoot::moved`](crate::pci::PciRoot::moved).
    Remap(Remap),
    /// Reset the whole machine.
    Reset,
    /// Power off.
    PowerOff,
    /// End the VMM with this status.
    Exit(u8),
}

/// A BAR that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remap {
    /// Where it is mapped now.
    pub from: u64,
    /// Where it belongs.
    pub to: u64,
}

/// Registers behind a range of addresses.
pub trait Device: Send + Debug {
    /// Reads `data.len()` bytes at `offset` into the device's range.
    fn read(&mut self, offset: u64, data: &mut [u8]);

    /// Writes `data` at `offset` into the device's range.
    fn write(&mut self, offset: u64, data: &[u8]) -> Effect;
}

/// A device as the bus and the machine share it. Only register accesses take the lock.
pub type SharedDevice = Arc<Mutex<dyn Device>>;

/// Why a range can't be on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Empty, or past the end of the address space.
    #[error("{base:#x}+{len:#x} is no address range")]
    BadRange {
        /// Its start.
        base: u64,
        /// Its length.
        len: u64,
    },
    /// Another device is there.
    #[error("{base:#x}+{len:#x} overlaps the device at {other:#x}")]
    Overlap {
        /// Its start.
        base: u64,
        /// Its length.
        len: u64,
        /// The start of the range in the way.
        other: u64,
    },
    /// No device starts there.
    #[error("no device at {0:#x}")]
    NotFound(u64),
}

#[derive(Clone, Debug)]
struct Entry {
    len: u64,
    device: SharedDevice,
}

/// A bus. An access that no device claims, or that crosses a device's end, reads all ones and writes nothing.
#[derive(Debug, Default)]
pub struct Bus {
    entries: RwLock<BTreeMap<u64, Entry>>,
}

impl Bus {
    /// Puts `device` at `base..base + len`.
    ///
    /// # Errors
    ///
    /// The range is empty, wraps, or is taken.
    pub fn insert(&self, base: u64, len: u64, device: SharedDevice) -> Result<(), BusError> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        check_free(&entries, base, len)?;
        entries.insert(base, Entry { len, device });
        Ok(())
    }

    /// Moves the device that starts at `from` to `to`. On an error nothing has changed.
    ///
    /// # Errors
    ///
    /// No device starts at `from`, or the range at `to` wraps or is taken by another.
    pub fn remap(&self, Remap { from, to }: Remap) -> Result<(), BusError> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.remove(&from).ok_or(BusError::NotFound(from))?;
        let free = check_free(&entries, to, entry.len);
        entries.insert(if free.is_ok() { to } else { from }, entry);
        free
    }

    /// Reads from the device at `address`, or all ones.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        match self.find(address, data.len()) {
            Some((offset, device)) => {
                device.lock().unwrap_or_else(PoisonError::into_inner).read(offset, data);
            }
            None => data.fill(0xff),
        }
    }

    /// Writes to the device at `address`, if there is one.
    pub fn write(&self, address: u64, data: &[u8]) -> Effect {
        match self.find(address, data.len()) {
            Some((offset, device)) => {
                device.lock().unwrap_or_else(PoisonError::into_inner).write(offset, data)
            }
            None => Effect::None,
        }
    }

    fn find(&self, address: u64, len: usize) -> Option<(u64, SharedDevice)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let (base, entry) = entries.range(..=address).next_back()?;
        let offset = address - base;
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        (end <= entry.len).then(|| (offset, Arc::clone(&entry.device)))
    }
}

fn check_free(entries: &BTreeMap<u64, Entry>, base: u64, len: u64) -> Result<(), BusError> {
    let last = len.checked_sub(1).and_then(|less| base.checked_add(less));
    let last = last.ok_or(BusError::BadRange { base, len })?;
    match entries.range(..=last).next_back() {
        Some((&other, entry)) if other + (entry.len - 1) >= base => {
            Err(BusError::Overlap { base, len, other })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "bus_test.rs"]
mod tests;
