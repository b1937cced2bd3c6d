//! QEMU's fw_cfg, by which firmware asks for what it needs: `docs/specs/fw_cfg.rst` of QEMU, "QEMU Firmware Configuration (fw_cfg) Device".

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod items;

use std::mem;

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
/// The first item, by which a guest knows the device.
const SIGNATURE: [u8; 4] = *b"QEMU";
/// "Revision / feature bitmap": the data port, and DMA.
const FEATURES: u32 = 0b11;

/// Zeros, as many as are written at once.
static ZEROS: [u8; 64 << 10] = [0; _];

/// Items that firmware selects by number, and files, which it finds by name. It reads them byte by byte from a port, or by DMA. None can be
/// written.
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
    /// The offset of the byte that comes next.
    offset: usize,
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

/// A transfer that was not done, or not all of it.
#[derive(Debug)]
struct Failed;

impl FwCfg {
    /// The number of ports that it takes.
    pub const LEN: u64 = 12;

    /// One for a guest with `memory`, without items except those that tell of the device itself.
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
        self.items.set(key, Content::Bytes(bytes.into()));
    }

    /// Adds a file.
    ///
    /// # Errors
    ///
    /// Its name or its length does not fit into the directory, or there is one with this name.
    pub fn add_file(&mut self, name: &str, content: Content) -> Result<(), FileError> {
        self.items.add_file(name, content)
    }

    fn select(&mut self, key: u16) {
        self.selected = Selected { key, offset: 0 };
        self.items.make(key);
    }

    /// Does as the descriptor at `address` says, and tells the guest there whether it went well.
    fn dma(&mut self, address: u64) {
        let descriptor = GuestAddress(address);
        let done = self.memory.read_obj::<[u8; size_of::<DmaAccess>()]>(descriptor).map_err(|_| Failed);
        let done = done.and_then(|bytes| self.transfer(address, zerocopy::transmute!(bytes)));
        let control = Control::new().with_error(done.is_err()).into_bits().to_be_bytes();
        // Outside memory there is no place for an answer.
        if self.memory.check_range(descriptor, control.len()) {
            let _ = self.memory.write_slice(&control, descriptor);
        }
    }

    fn transfer(&mut self, descriptor: u64, access: DmaAccess) -> Result<(), Failed> {
        let control = Control::from_bits(access.control.get());
        if control.select() {
            self.select(control.key());
        }
        let len = usize::try_from(access.len.get()).map_err(|_| Failed)?;
        if control.read() {
            self.read_to(access.address.get(), len, descriptor)
        } else if control.write() {
            Err(Failed)
        } else {
            if control.skip() {
                self.selected.take(&self.items, len);
            }
            Ok(())
        }
    }

    /// Writes the selected item's next `len` bytes to `address`, with zeros after its end: all of it, or nothing if that is not in memory or
    /// would overwrite the descriptor. So a length of 4 GiB takes no longer than the guest's memory does.
    fn read_to(&mut self, address: u64, len: usize, descriptor: u64) -> Result<(), Failed> {
        if len == 0 {
            return Ok(());
        }
        if !self.memory.check_range(GuestAddress(address), len) {
            return Err(Failed);
        }
        let (end, descriptor_end) = (address + len as u64, descriptor + size_of::<DmaAccess>() as u64);
        if address < descriptor_end && descriptor < end {
            return Err(Failed);
        }
        let memory = self.memory.clone();
        let write = |bytes: &[u8], at: u64| memory.write_slice(bytes, GuestAddress(at)).map_err(|_| Failed);
        let bytes = self.selected.take(&self.items, len);
        write(bytes, address)?;
        let mut at = address + bytes.len() as u64;
        while at < end {
            let len = ZEROS.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            write(&ZEROS[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }
}

impl Selected {
    /// Takes the item's next bytes, `len` at most: fewer, if it has no more.
    fn take<'a>(&mut self, items: &'a Items, len: usize) -> &'a [u8] {
        let rest = items.get(self.key).get(self.offset..).unwrap_or_default();
        let taken = &rest[..rest.len().min(len)];
        self.offset += taken.len();
        taken
    }
}

impl BusDevice for FwCfg {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match (offset, data) {
            (DATA, [byte]) => *byte = self.selected.take(&self.items, 1).first().copied().unwrap_or_default(),
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
            // As in QEMU: there are no other widths, and the data port does not write.
            _ => {}
        }
        Effect::None
    }
}

#[cfg(test)]
#[path = "fw_cfg_test.rs"]
mod tests;
