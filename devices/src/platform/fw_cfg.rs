//! QEMU's fw_cfg, from which firmware reads what it needs: `docs/specs/fw_cfg.rst` of QEMU, "QEMU Firmware Configuration (fw_cfg) Device".

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod items;
mod state;

use std::{mem, slice};

use arch::memory::GuestRam;
use bitfield_struct::bitfield;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{U32, U64},
};

use self::items::Items;
pub use self::items::{Content, FileError, Key};
use crate::{
    bus::{BusDevice, Effect},
    registers,
};

/// Offsets in the device's ports.
const SELECTOR: u64 = 0;
const DATA: u64 = 1;
const DMA_HIGH: u64 = 4;
const DMA_LOW: u64 = 8;

/// The value of the DMA address register.
const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";
/// The first item, by which a guest recognizes the device.
const SIGNATURE: [u8; 4] = *b"QEMU";
/// "Revision / feature bitmap": the data port, and DMA.
const FEATURES: u32 = 0b11;

/// The number of bytes that are copied at a time.
const CHUNK: u64 = 64 << 10;

/// Items that firmware selects by number, and files, which it finds by name. It reads them byte by byte from a port, or by DMA. They can't
/// be written.
#[derive(Debug)]
pub struct FwCfg {
    memory: GuestRam,
    items: Items,
    selected: Selected,
    /// The upper half of the address of the next DMA descriptor.
    dma_high: u32,
}

/// The item that the guest reads.
#[derive(Clone, Copy, Debug, Default)]
struct Selected {
    key: u16,
    /// The offset of the next byte.
    offset: u64,
}

/// "Guest-side DMA Interface": a descriptor in guest memory.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct DmaAccess {
    control: U32,
    len: U32,
    address: U64,
}

#[bitfield(u32)]
struct Control {
    error: bool,
    read: bool,
    skip: bool,
    select: bool,
    write: bool,
    #[bits(11)]
    __: u16,
    key: u16,
}

/// A transfer that was not done, or only in part.
#[derive(Debug)]
struct Failed;

impl FwCfg {
    /// The number of ports.
    pub const LEN: u64 = 12;

    /// A device for a guest with `memory`, without items except for those about the device itself.
    #[must_use]
    pub fn new(memory: GuestRam) -> Self {
        let (items, selected) = (Items::default(), Selected::default());
        let mut fw_cfg = Self { memory, items, selected, dma_high: 0 };
        fw_cfg.set(Key::Signature, SIGNATURE);
        fw_cfg.set(Key::Id, FEATURES.to_le_bytes());
        fw_cfg
    }

    /// Sets an item.
    pub fn set(&mut self, key: Key, bytes: impl Into<Vec<u8>>) {
        self.set_content(key, Content::Bytes(bytes.into()));
    }

    /// Sets an item whose bytes may be made later.
    pub fn set_content(&mut self, key: Key, content: Content) {
        self.items.set(key, content);
    }

    /// Adds a file.
    ///
    /// # Errors
    ///
    /// The name or its length does not fit into the directory, or a file with this name exists.
    pub fn add_file(&mut self, name: &str, content: Content) -> Result<(), FileError> {
        self.items.add_file(name, content)
    }

    fn select(&mut self, key: u16) {
        self.selected = Selected { key, offset: 0 };
        self.items.make(key);
    }

    /// Does what the descriptor at `address` says, and writes the result there.
    fn dma(&mut self, address: u64) {
        let descriptor = GuestAddress(address);
        let done = self.memory.read_obj::<[u8; size_of::<DmaAccess>()]>(descriptor).map_err(|_| Failed);
        let done = done.and_then(|bytes| self.transfer(address, zerocopy::transmute!(bytes)));
        let control = Control::new().with_error(done.is_err()).into_bits().to_be_bytes();
        // Outside of memory there is no place for the result.
        if self.memory.check_range(descriptor, control.len()) {
            let _ = self.memory.write_slice(&control, descriptor);
            self.memory.written().add(address, control.len() as u64);
        }
    }

    fn transfer(&mut self, descriptor: u64, access: DmaAccess) -> Result<(), Failed> {
        let control = Control::from_bits(access.control.get());
        if control.select() {
            self.select(control.key());
        }
        let len = access.len.get().into();
        if control.read() {
            self.read_to(access.address.get(), len, descriptor)
        } else if control.write() {
            Err(Failed)
        } else {
            if control.skip() {
                self.selected.skip(&self.items, len);
            }
            Ok(())
        }
    }

    /// Writes the next `len` bytes of the selected item to `address`, with zeros after the item's end. Writes nothing if not all of that is
    /// in memory, or if it would overwrite the descriptor. So a length of 4 GiB takes no longer than the guest's memory does.
    fn read_to(&mut self, address: u64, len: u64, descriptor: u64) -> Result<(), Failed> {
        if len == 0 {
            return Ok(());
        }
        let count = usize::try_from(len).map_err(|_| Failed)?;
        if !self.memory.check_range(GuestAddress(address), count) {
            return Err(Failed);
        }
        let (end, descriptor_end) = (address + len, descriptor + size_of::<DmaAccess>() as u64);
        if address < descriptor_end && descriptor < end {
            return Err(Failed);
        }
        let mut chunk = vec![0; usize::try_from(len.min(CHUNK)).map_err(|_| Failed)?];
        let mut at = address;
        while at < end {
            let left = usize::try_from(end - at).map_err(|_| Failed)?;
            chunk.truncate(left);
            self.selected.read(&self.items, &mut chunk)?;
            self.memory.write_slice(&chunk, GuestAddress(at)).map_err(|_| Failed)?;
            self.memory.written().add(at, chunk.len() as u64);
            at += chunk.len() as u64;
        }
        Ok(())
    }
}

impl Selected {
    /// Reads the next bytes of the item, with zeros after its end.
    fn read(&mut self, items: &Items, bytes: &mut [u8]) -> Result<(), Failed> {
        let rest = self.rest(items);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes.len());
        let (found, after) = bytes.split_at_mut(count);
        after.fill(0);
        items.read(self.key, self.offset, found).map_err(|_| Failed)?;
        self.offset += count as u64;
        Ok(())
    }

    /// The number of remaining bytes of the item.
    fn rest(&self, items: &Items) -> u64 {
        items.len(self.key).saturating_sub(self.offset)
    }

    /// Skips `len` bytes, or all remaining bytes of the item.
    fn skip(&mut self, items: &Items, len: u64) {
        self.offset += len.min(self.rest(items));
    }
}

impl BusDevice for FwCfg {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match (offset, data) {
            (DATA, [byte]) => {
                // An item that can't be read is logged there.
                if self.selected.read(&self.items, slice::from_mut(byte)).is_err() {
                    *byte = 0;
                }
            }
            (DMA_HIGH.., data) => registers::read(&DMA_SIGNATURE, offset - DMA_HIGH, data),
            (_, data) => data.fill(0xff),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        match (offset, data) {
            (SELECTOR, &[low, high]) => self.select(u16::from_le_bytes([low, high])),
            (DMA_HIGH, &[a, b, c, d]) => self.dma_high = u32::from_be_bytes([a, b, c, d]),
            (DMA_LOW, &[a, b, c, d]) => {
                let high = mem::take(&mut self.dma_high);
                self.dma(u64::from(high) << 32 | u64::from(u32::from_be_bytes([a, b, c, d])));
            }
            // As in QEMU: other widths are ignored, and so are writes to the data port.
            _ => {}
        }
        Effect::None
    }
}

#[cfg(test)]
#[path = "fw_cfg_test.rs"]
mod tests;
