//! All registers of the device, which the guest reaches by a BAR and by ports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::Bytes;

use super::{dispi::Dispi, mode::Mode, registers::Registers};
use crate::{
    bus::{BusDevice, Effect},
    pci::BarMemory,
    state::Stateless,
};

/// The registers, and the video memory, which setting a mode clears.
#[derive(Debug)]
pub(super) struct Adapter {
    pub(super) registers: Registers,
    pub(super) dispi: Dispi,
    video: Arc<BarMemory>,
}

impl Adapter {
    pub(super) fn new(video: Arc<BarMemory>) -> Self {
        let memory = video.as_volatile_slice().len();
        Self { registers: Registers::new(), dispi: Dispi::new(memory), video }
    }

    /// The mode that is shown.
    pub(super) fn mode(&self) -> Mode {
        self.registers.mode(self.dispi.mode(), self.dispi.has_wide_dac())
    }

    /// Sets a linear mode of 32 bits a pixel.
    pub(super) fn set_mode(&mut self, width: u16, height: u16) {
        self.registers.unblank();
        self.dispi.set(width, height);
    }

    /// Writes a register. Returns the memory to clear afterwards, without the registers' lock.
    fn write_register(&mut self, index: u16, value: u16) -> Option<Clearing> {
        let clears = self.dispi.write(index, value);
        let mode = self.dispi.mode().filter(|_| clears)?;
        Some(Clearing { video: Arc::clone(&self.video), len: mode.pitch * usize::from(mode.height) })
    }
}

/// The part of video memory that a new mode shows, up to 16 MiB, which has to be cleared.
struct Clearing {
    video: Arc<BarMemory>,
    len: usize,
}

impl Clearing {
    fn clear(&self) {
        static ZEROS: [u8; 64 << 10] = [0; _];
        let video = self.video.as_volatile_slice();
        let len = self.len.min(video.len());
        for at in (0..len).step_by(ZEROS.len()) {
            let cleared = video.write_slice(&ZEROS[..ZEROS.len().min(len - at)], at);
            debug_assert!(cleared.is_ok());
        }
        self.video.dirty().iter().for_each(|dirty| dirty.add(0..len as u64));
    }
}

/// Writes a dispi register: the one with this index, or the selected one.
pub(super) fn write_dispi(adapter: &Mutex<Adapter>, index: Option<u16>, value: u16) {
    let clearing = {
        let mut adapter = lock(adapter);
        let index = index.unwrap_or_else(|| adapter.dispi.index());
        adapter.write_register(index, value)
    };
    clearing.iter().for_each(Clearing::clear);
}

/// Ports of the adapter, from `first` on.
#[derive(Debug)]
pub struct VgaPorts {
    pub(super) first: u16,
    pub(super) adapter: Arc<Mutex<Adapter>>,
}

/// The dispi interface's index and data ports, of 16 bits each.
#[derive(Debug)]
pub struct DispiPorts(pub(super) Arc<Mutex<Adapter>>);

impl VgaPorts {
    /// The number of ports from 3C0H on.
    pub const LEN: u64 = 0x20;
    /// The number of ports from 3B0H on, up to a printer's ports.
    pub const MONOCHROME_LEN: u64 = 0xc;

    fn port(&self, offset: u64, index: usize) -> u16 {
        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
        self.first.saturating_add(offset).saturating_add(u16::try_from(index).unwrap_or(u16::MAX))
    }
}

impl BusDevice for VgaPorts {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let mut adapter = lock(&self.adapter);
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = adapter.registers.read(self.port(offset, index));
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let mut adapter = lock(&self.adapter);
        for (index, &byte) in data.iter().enumerate() {
            adapter.registers.write(self.port(offset, index), byte);
        }
        Effect::None
    }
}

impl DispiPorts {
    /// The number of port addresses: 16 bits each at the first and at the second.
    pub const LEN: u64 = 3;
}

impl BusDevice for DispiPorts {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let adapter = lock(&self.0);
        let index = adapter.dispi.index();
        match (offset, data) {
            (0, data @ [_, _]) => data.copy_from_slice(&index.to_le_bytes()),
            (1, data @ [_, _]) => data.copy_from_slice(&adapter.dispi.read(index).to_le_bytes()),
            (_, data) => data.fill(0xff),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        match (offset, data) {
            (0, &[low, high]) => lock(&self.0).dispi.set_index(u16::from_le_bytes([low, high])),
            (1, &[low, high]) => write_dispi(&self.0, None, u16::from_le_bytes([low, high])),
            _ => {}
        }
        Effect::None
    }
}

/// The registers are saved with the PCI function.
impl Stateless for VgaPorts {}
impl Stateless for DispiPorts {}

/// Locks `shared`, even if a holder has panicked: no holder leaves it inconsistent.
pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
