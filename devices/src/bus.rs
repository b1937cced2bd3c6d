//! Address ranges and the devices behind them: port I/O is one bus, MMIO another.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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
    /// The guest's kernel has panicked.
    Panicked,
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
    base: u64,
    len: u64,
    device: SharedDevice,
}

/// A bus. An access that no device claims, or that crosses a device's end, reads all ones and writes nothing.
#[derive(Debug, Default)]
pub struct Bus {
    /// By base, without overlaps. A change replaces it.
    entries: Mutex<Arc<[Entry]>>,
    /// Counts the changes.
    changes: AtomicU64,
}

/// A bus as one thread accesses it: it keeps the map until that changes, which is rare, so that an access takes no lock but the device's
/// and writes nothing that other threads read.
#[derive(Debug)]
pub struct View<'a> {
    bus: &'a Bus,
    entries: Arc<[Entry]>,
    /// The value of [`Bus::changes`] at which `entries` was copied.
    changes: u64,
    /// The place in `entries` that was accessed last, where the next access most often goes too.
    last: usize,
}

impl Bus {
    /// Puts `device` at `base..base + len`.
    ///
    /// # Errors
    ///
    /// The range is empty, wraps, or is taken.
    pub fn insert(&self, base: u64, len: u64, device: SharedDevice) -> Result<(), BusError> {
        self.change(|entries| put(entries, Entry { base, len, device }))
    }

    /// Moves the device that starts at `from` to `to`. On an error nothing has changed.
    ///
    /// # Errors
    ///
    /// No device starts at `from`, or the range at `to` wraps or is taken by another.
    pub fn remap(&self, Remap { from, to }: Remap) -> Result<(), BusError> {
        self.change(|entries| {
            let place = entries.iter().position(|entry| entry.base == from);
            let entry = entries.remove(place.ok_or(BusError::NotFound(from))?);
            put(entries, Entry { base: to, ..entry })
        })
    }

    /// The bus for one thread.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        let mut view = View { bus: self, entries: Arc::default(), changes: 0, last: 0 };
        view.refresh();
        view
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Entry>) -> Result<(), BusError>) -> Result<(), BusError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = entries.to_vec();
        change(&mut changed)?;
        *entries = changed.into();
        self.changes.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

impl View<'_> {
    /// Reads from the device at `address`, or all ones.
    pub fn read(&mut self, address: u64, data: &mut [u8]) {
        match self.find(address, data.len()) {
            Some((offset, device)) => {
                device.lock().unwrap_or_else(PoisonError::into_inner).read(offset, data);
            }
            None => data.fill(0xff),
        }
    }

    /// Writes to the device at `address`, if there is one.
    pub fn write(&mut self, address: u64, data: &[u8]) -> Effect {
        match self.find(address, data.len()) {
            Some((offset, device)) => {
                device.lock().unwrap_or_else(PoisonError::into_inner).write(offset, data)
            }
            None => Effect::None,
        }
    }

    #[inline]
    fn find(&mut self, address: u64, len: usize) -> Option<(u64, &SharedDevice)> {
        if self.bus.changes.load(Ordering::Acquire) != self.changes {
            self.refresh();
        }
        let offset = match self.entries.get(self.last).and_then(|entry| entry.offset(address, len)) {
            Some(offset) => offset,
            None => self.search(address, len)?,
        };
        Some((offset, &self.entries.get(self.last)?.device))
    }

    #[inline(never)]
    fn search(&mut self, address: u64, len: usize) -> Option<u64> {
        let place = self.entries.partition_point(|entry| entry.base <= address).checked_sub(1)?;
        let offset = self.entries.get(place)?.offset(address, len)?;
        self.last = place;
        Some(offset)
    }

    #[cold]
    #[inline(never)]
    fn refresh(&mut self) {
        let entries = self.bus.entries.lock().unwrap_or_else(PoisonError::into_inner);
        self.entries = Arc::clone(&entries);
        self.changes = self.bus.changes.load(Ordering::Acquire);
    }
}

impl Entry {
    /// The offset of an access that lies wholly in the range.
    fn offset(&self, address: u64, len: usize) -> Option<u64> {
        let offset = address.checked_sub(self.base)?;
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        (end <= self.len).then_some(offset)
    }
}

/// Adds an entry in its place, if there is room.
fn put(entries: &mut Vec<Entry>, entry: Entry) -> Result<(), BusError> {
    let Entry { base, len, .. } = entry;
    let last = len.checked_sub(1).and_then(|less| base.checked_add(less));
    let last = last.ok_or(BusError::BadRange { base, len })?;
    let place = entries.partition_point(|entry| entry.base <= last);
    let before = place.checked_sub(1).and_then(|before| entries.get(before));
    match before {
        Some(other) if other.base + (other.len - 1) >= base => {
            Err(BusError::Overlap { base, len, other: other.base })
        }
        _ => {
            entries.insert(place, entry);
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "bus_test.rs"]
mod tests;
