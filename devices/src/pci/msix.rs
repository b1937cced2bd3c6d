mod vector;

use std::{
    mem::offset_of,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bitfield_struct::bitfield;
use serde::{Deserialize, Serialize};
use vmm_sys_util::eventfd::EventFd;
use zerocopy::{FromZeros, Immutable, IntoBytes};

use self::vector::Vector;
use crate::{
    irq::{Msi, MsiMessage},
    registers,
};

/// PCI 3.0, "Message Control for MSI-X".
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct MessageControl {
    /// The number of vectors, less one.
    #[bits(11)]
    pub table_size_minus_one: u16,
    #[bits(3)]
    __: u8,
    /// All vectors are masked.
    pub function_mask: bool,
    /// The function interrupts by MSI-X, not by INTx.
    pub enable: bool,
}

/// PCI 3.0, "MSI-X Capability and Table Structures": the capability.
#[repr(C)]
#[derive(Clone, Copy, Debug, IntoBytes, FromZeros, Immutable)]
pub struct MsixCapability {
    id: u8,
    next: u8,
    control: u16,
    table: u32,
    pending: u32,
}

impl MsixCapability {
    /// The offset of `Message Control` in it.
    pub const CONTROL: usize = offset_of!(Self, control);

    const ID: u8 = 0x11;

    /// A capability with a table of `vectors` at offset `table` of the BAR in register `bar`, and the pending bits at offset `pending`,
    /// which are both multiples of 8.
    #[must_use]
    pub fn new(vectors: u16, bar: u8, table: u32, pending: u32) -> Self {
        Self {
            id: Self::ID,
            next: 0,
            control: MessageControl::new().with_table_size_minus_one(vectors.saturating_sub(1)).into(),
            table: table | u32::from(bar),
            pending: pending | u32::from(bar),
        }
    }

    /// The capability's bits that a guest may write.
    #[must_use]
    pub fn writable() -> Self {
        let control = MessageControl::new().with_enable(true).with_function_mask(true);
        Self { control: control.into(), ..Self::new_zeroed() }
    }
}

/// `Vector Control`'s mask bit.
const MASKED: u32 = 1;

/// An entry of the MSI-X table.
#[repr(C)]
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
struct Entry {
    address_low: u32,
    address_high: u32,
    data: u32,
    control: u32,
}

impl Entry {
    const RESET: Self = Self { address_low: 0, address_high: 0, data: 0, control: MASKED };

    fn message(&self) -> MsiMessage {
        MsiMessage {
            address: u64::from(self.address_high) << 32 | u64::from(self.address_low),
            data: self.data,
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        const ADDRESS_LOW: usize = offset_of!(Entry, address_low);
        const ADDRESS_HIGH: usize = offset_of!(Entry, address_high);
        const DATA: usize = offset_of!(Entry, data);
        const CONTROL: usize = offset_of!(Entry, control);
        match offset {
            ADDRESS_LOW => self.address_low = value & !3,
            ADDRESS_HIGH => self.address_high = value,
            DATA => self.data = value,
            CONTROL => self.control = value & MASKED,
            _ => {}
        }
    }
}

/// The state of the table and the pending bits. `Message Control` is in configuration space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MsixState {
    vectors: Vec<VectorState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorState {
    address: u64,
    data: u32,
    masked: bool,
    pending: bool,
}

/// MSI-X as programmed by the guest: the table and the pending bits.
#[derive(Debug)]
pub struct Msix {
    control: MessageControl,
    table: Vec<Entry>,
    /// The message that each vector is set to send. Changing it costs the machine a system call, so this happens only when a vector with
    /// another message is unmasked.
    sent: Vec<Option<MsiMessage>>,
    vectors: Arc<MsixVectors>,
}

impl Msix {
    /// Bytes in the table for each vector.
    pub const ENTRY_LEN: usize = size_of::<Entry>();

    /// The most entries of a table.
    pub const MAX_VECTORS: usize = 1 << MessageControl::TABLE_SIZE_MINUS_ONE_BITS;

    /// A table of `vectors`, all masked, and MSI-X disabled.
    #[must_use]
    pub fn new(vectors: Vec<Arc<dyn Msi>>) -> Self {
        Self {
            control: MessageControl::new(),
            table: vec![Entry::RESET; vectors.len()],
            sent: vec![None; vectors.len()],
            vectors: Arc::new(MsixVectors::new(vectors)),
        }
    }

    /// The handle through which device threads signal vectors.
    #[must_use]
    pub fn vectors(&self) -> &Arc<MsixVectors> {
        &self.vectors
    }

    /// Applies `Message Control` of configuration space.
    pub fn set_control(&mut self, control: MessageControl) {
        if control == self.control {
            return;
        }
        self.control = control;
        self.vectors.enabled.store(control.enable(), Ordering::SeqCst);
        for vector in 0..self.table.len() {
            self.update(vector);
        }
    }

    /// Reads from the table.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        registers::read(self.table.as_bytes(), offset, data);
    }

    /// Writes an aligned double word or quad word to the table. The specification leaves other writes undefined; they are ignored.
    pub fn write_table(&mut self, offset: u64, data: &[u8]) {
        let Ok(offset) = usize::try_from(offset) else {
            return;
        };
        if !matches!(data.len(), 4 | 8) || !offset.is_multiple_of(data.len()) {
            return;
        }
        let vector = offset / Self::ENTRY_LEN;
        let Some(entry) = self.table.get_mut(vector) else {
            return;
        };
        let fields = (offset % Self::ENTRY_LEN..).step_by(4);
        for (field, value) in fields.zip(data.chunks_exact(4)) {
            let value = value.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            entry.write(field, value);
        }
        self.update(vector);
    }

    /// Reads the pending bits, which can't be written.
    pub fn read_pending(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let mut image = [0; Self::MAX_VECTORS.div_ceil(8)];
        for (index, vector) in self.vectors.vectors.iter().enumerate().take(Self::MAX_VECTORS) {
            image[index / 8] |= u8::from(vector.pending.load(Ordering::SeqCst)) << (index % 8);
        }
        registers::read(&image, offset, data);
    }

    /// Saves the state. No device thread may signal meanwhile.
    #[must_use]
    pub fn save(&self) -> MsixState {
        let vectors = self.table.iter().zip(&self.vectors.vectors).map(|(entry, vector)| {
            let MsiMessage { address, data } = entry.message();
            let masked = entry.control & MASKED != 0;
            VectorState { address, data, masked, pending: vector.pending.load(Ordering::SeqCst) }
        });
        MsixState { vectors: vectors.collect() }
    }

    /// Loads the table and the pending bits, while MSI-X is disabled; [`Msix::set_control`] has to follow. Returns false if `state` has
    /// another number of vectors.
    #[must_use]
    pub fn load(&mut self, state: &MsixState) -> bool {
        if state.vectors.len() != self.table.len() {
            return false;
        }
        for (index, saved) in state.vectors.iter().enumerate() {
            let entry = &mut self.table[index];
            let [low, high]: [u32; 2] = zerocopy::transmute!(saved.address);
            entry.write(offset_of!(Entry, address_low), low);
            entry.write(offset_of!(Entry, address_high), high);
            entry.write(offset_of!(Entry, data), saved.data);
            entry.write(offset_of!(Entry, control), saved.masked.into());
            self.vectors.vectors[index].pending.store(saved.pending, Ordering::SeqCst);
        }
        true
    }

    /// Applies a vector's entry and the control register to it.
    fn update(&mut self, index: usize) {
        let (entry, vector) = (&self.table[index], &self.vectors.vectors[index]);
        if !self.control.enable() {
            vector.close();
            vector.pending.store(false, Ordering::SeqCst);
        } else if self.control.function_mask() || entry.control & MASKED != 0 {
            vector.close();
        } else {
            let message = entry.message();
            if self.sent[index].replace(message) != Some(message) {
                vector.msi.set_message(message);
            }
            vector.open();
        }
    }
}

/// MSI-X for a device's threads. Signalling takes no lock.
#[derive(Debug)]
pub struct MsixVectors {
    enabled: AtomicBool,
    vectors: Box<[Vector]>,
}

impl MsixVectors {
    fn new(vectors: Vec<Arc<dyn Msi>>) -> Self {
        let vectors = vectors.into_iter().map(Vector::new).collect();
        Self { enabled: AtomicBool::new(false), vectors }
    }

    /// Returns whether MSI-X is enabled. If not, the function uses its INTx pin.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::SeqCst)
    }

    /// Returns the number of vectors.
    #[must_use]
    pub fn count(&self) -> usize {
        self.vectors.len()
    }

    /// Sends a vector's message, or makes it pending if it is masked. Does nothing if there is no such vector.
    pub fn signal(&self, vector: u16) {
        if let Some(vector) = self.vectors.get(usize::from(vector)) {
            vector.signal();
        }
    }

    /// Makes writes to `event` send a vector's message while the vector is unmasked and enabled, without any of nvmm's threads. At other
    /// times, writes stay in `event`, and the waiting thread calls [`MsixVectors::signal`] for them. The same holds for a vector that the
    /// kernel can't send.
    pub fn attach(&self, vector: u16, event: &Arc<EventFd>) {
        if let Some(vector) = self.vectors.get(usize::from(vector)) {
            vector.attach(event);
        }
    }

    /// Ends [`MsixVectors::attach`].
    pub fn detach(&self, vector: u16, event: &Arc<EventFd>) {
        if let Some(vector) = self.vectors.get(usize::from(vector)) {
            vector.detach(event);
        }
    }
}

#[cfg(test)]
#[path = "msix_test.rs"]
mod tests;
