//! Address ranges and the devices behind them: port I/O is one bus, MMIO another.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A request to the machine, returned by a write. Devices have no handle to the machine: they return this, and the caller acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the machine has to act on it"]
pub enum Effect {
    /// No request.
    None,
    /// The BARs that a PCI function decodes, or its doorbells, have changed: the buses have to follow.
    Decode,
    /// Reset the whole machine.
    Reset,
    /// Power off.
    PowerOff,
    /// The guest's kernel has panicked.
    Panicked,
    /// End the VMM with this status.
    Exit(u8),
}

/// Registers behind a range of addresses.
pub trait BusDevice: Send + Debug {
    /// Reads `data.len()` bytes at `offset` into the device's range.
    fn read(&mut self, offset: u64, data: &mut [u8]);

    /// Writes `data` at `offset` into the device's range.
    fn write(&mut self, offset: u64, data: &[u8]) -> Effect;
}

/// A device as vCPUs share it on a bus.
pub trait Target: Send + Sync + Debug {
    /// Reads `data.len()` bytes at `offset` into the range.
    fn read(&self, offset: u64, data: &mut [u8]);

    /// Writes `data` at `offset` into the range.
    fn write(&self, offset: u64, data: &[u8]) -> Effect;
}

/// A device behind a lock, which only register accesses take.
impl<D: BusDevice> Target for Mutex<D> {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.lock().unwrap_or_else(PoisonError::into_inner).read(offset, data);
    }

    fn write(&self, offset: u64, data: &[u8]) -> Effect {
        self.lock().unwrap_or_else(PoisonError::into_inner).write(offset, data)
    }
}

/// Reasons why a range can't be on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The range is empty, or goes past the end of the address space.
    #[error("{base:#x}+{len:#x} is no address range")]
    BadRange {
        /// The start.
        base: u64,
        /// The length.
        len: u64,
    },
    /// Another device uses some of the addresses.
    #[error("{base:#x}+{len:#x} overlaps the device at {other:#x}")]
    Overlap {
        /// The start.
        base: u64,
        /// The length.
        len: u64,
        /// The start of the other device's range.
        other: u64,
    },
}

/// A range that PCI decodes, and the registers behind it.
#[derive(Clone, Debug)]
pub struct Window {
    /// The start.
    pub base: u64,
    /// The length.
    pub len: u64,
    /// The device that answers there.
    pub target: Arc<dyn Target>,
}

/// A part of a window that nothing else covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The window's index in the list.
    pub window: usize,
    /// The first address of the part.
    pub first: u64,
    /// The last.
    pub last: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    first: u64,
    last: u64,
    /// The address of the target's first register. Something else may cover it.
    base: u64,
    target: Arc<dyn Target>,
}

/// A bus. An access reads all ones and writes nothing if no device claims it, or if it crosses the end of a device's range.
///
/// Devices keep the ranges that they were given, and these never overlap. Windows lie below them: a guest can move a window anywhere, and
/// it answers at addresses without a device, a reserved range or an earlier window.
#[derive(Debug, Default)]
pub struct Bus {
    map: Mutex<Map>,
    /// The number of changes so far.
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct Map {
    devices: Vec<Entry>,
    /// First and last addresses.
    reserved: Vec<(u64, u64)>,
    windows: Vec<Window>,
    /// All ranges that answer, sorted and without overlaps. A change replaces the list.
    entries: Arc<[Entry]>,
}

/// A bus as one thread accesses it. It keeps a copy of the map until the map changes, which is rare: so an access takes no lock except the
/// device's, and writes nothing that other threads read.
#[derive(Debug)]
pub struct View<'a> {
    bus: &'a Bus,
    entries: Arc<[Entry]>,
    /// The value of [`Bus::changes`] at which `entries` was copied.
    changes: u64,
    /// The index in `entries` of the last access, where the next access most often goes too.
    last: usize,
}

impl Bus {
    /// Adds `device` at `base..base + len`, above any window.
    ///
    /// # Errors
    ///
    /// The range is empty, wraps, or is taken by another device.
    pub fn insert(&self, base: u64, len: u64, device: Arc<dyn Target>) -> Result<(), BusError> {
        let mut map = self.lock();
        let last = last(base, len).ok_or(BusError::BadRange { base, len })?;
        let place = map.devices.partition_point(|device| device.first <= last);
        let before = place.checked_sub(1).and_then(|before| map.devices.get(before));
        if let Some(other) = before.filter(|other| other.last >= base) {
            return Err(BusError::Overlap { base, len, other: other.first });
        }
        map.devices.insert(place, Entry { first: base, last, base, target: device });
        self.lay_out(&mut map);
        Ok(())
    }

    /// Keeps windows out of `base..base + len`, where something else answers, such as RAM.
    ///
    /// # Errors
    ///
    /// The range is empty or wraps.
    pub fn reserve(&self, base: u64, len: u64) -> Result<(), BusError> {
        let last = last(base, len).ok_or(BusError::BadRange { base, len })?;
        let mut map = self.lock();
        map.reserved.push((base, last));
        self.lay_out(&mut map);
        Ok(())
    }

    /// Replaces all windows in one step. Returns the parts of them that answer, sorted by window and address.
    pub fn set_windows(&self, windows: Vec<Window>) -> Vec<Part> {
        let mut map = self.lock();
        map.windows = windows;
        self.lay_out(&mut map)
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Computes which range answers at each address, and publishes that to the views.
    fn lay_out(&self, map: &mut Map) -> Vec<Part> {
        let mut taken: BTreeMap<_, _> =
            map.devices.iter().map(|device| (device.first, device.last)).collect();
        for &(first, last) in &map.reserved {
            let gaps = gaps(&taken, first, last);
            taken.extend(gaps);
        }
        let mut entries = map.devices.clone();
        let mut parts = Vec::new();
        for (index, window) in map.windows.iter().enumerate() {
            let Some(last) = last(window.base, window.len) else { continue };
            for (first, last) in gaps(&taken, window.base, last) {
                taken.insert(first, last);
                parts.push(Part { window: index, first, last });
                entries.push(Entry { first, last, base: window.base, target: Arc::clone(&window.target) });
            }
        }
        entries.sort_by_key(|entry| entry.first);
        map.entries = entries.into();
        self.changes.fetch_add(1, Ordering::Release);
        parts
    }

    /// Makes a view of the bus for one thread.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        let mut view = View { bus: self, entries: Arc::default(), changes: 0, last: 0 };
        view.refresh();
        view
    }
}

impl View<'_> {
    /// Reads from the device at `address`, or all ones.
    pub fn read(&mut self, address: u64, data: &mut [u8]) {
        match self.find(address, data.len()) {
            Some((offset, target)) => target.read(offset, data),
            None => data.fill(0xff),
        }
    }

    /// Writes to the device at `address`, if there is one.
    pub fn write(&mut self, address: u64, data: &[u8]) -> Effect {
        match self.find(address, data.len()) {
            Some((offset, target)) => target.write(offset, data),
            None => Effect::None,
        }
    }

    #[inline]
    fn find(&mut self, address: u64, len: usize) -> Option<(u64, &dyn Target)> {
        if self.bus.changes.load(Ordering::Acquire) != self.changes {
            self.refresh();
        }
        let offset = match self.entries.get(self.last).and_then(|entry| entry.offset(address, len)) {
            Some(offset) => offset,
            None => self.search(address, len)?,
        };
        Some((offset, &*self.entries.get(self.last)?.target))
    }

    #[inline(never)]
    fn search(&mut self, address: u64, len: usize) -> Option<u64> {
        let place = self.entries.partition_point(|entry| entry.first <= address).checked_sub(1)?;
        let offset = self.entries.get(place)?.offset(address, len)?;
        self.last = place;
        Some(offset)
    }

    #[cold]
    #[inline(never)]
    fn refresh(&mut self) {
        let map = self.bus.lock();
        self.entries = Arc::clone(&map.entries);
        self.changes = self.bus.changes.load(Ordering::Acquire);
    }
}

impl Entry {
    /// The offset of an access that lies completely in the range.
    #[inline]
    fn offset(&self, address: u64, len: usize) -> Option<u64> {
        let more = u64::try_from(len).ok()?.checked_sub(1)?;
        let end = address.checked_add(more)?;
        (self.first <= address && end <= self.last).then(|| address - self.base)
    }
}

/// The last address of a range; none if the range is empty or too long.
fn last(base: u64, len: u64) -> Option<u64> {
    base.checked_add(len.checked_sub(1)?)
}

/// The parts of `first..=last` that no range in `taken` covers, sorted.
fn gaps(taken: &BTreeMap<u64, u64>, first: u64, last: u64) -> Vec<(u64, u64)> {
    // A range that begins before `first` may reach into it.
    let reaches_in = taken.range(..first).next_back().filter(|&(_, &end)| end >= first);
    let mut gaps = Vec::new();
    let mut next = Some(first);
    for (&start, &end) in reaches_in.into_iter().chain(taken.range(first..=last)) {
        if let Some(free) = next.filter(|&free| free < start) {
            gaps.push((free, start - 1));
        }
        next = end.checked_add(1);
    }
    if let Some(free) = next.filter(|&free| free <= last) {
        gaps.push((free, last));
    }
    gaps
}

#[cfg(test)]
#[path = "bus_test.rs"]
mod tests;
