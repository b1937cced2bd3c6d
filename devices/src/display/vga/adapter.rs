//! All registers of the device, as its BAR and its ports reach them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::Bytes;

use super::{dispi::Dispi, mode::Mode, registers::Registers};
use crate::{
    bus::{BusDevice, Effect},
    pci::BarMemory,
};

/// The registers, and the video memory that setting a mode clears.
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

    pub(super) fn write_dispi(&mut self, index: u16, value: u16) {
        if self.dispi.write(index, value)
            && let Some(mode) = self.dispi.mode()
        {
            let video = self.video.as_volatile_slice();
            let len = (mode.pitch * usize::from(mode.height)).min(video.len());
            let cleared = video.subslice(0, len).and_then(|shown| shown.write_slice(&vec![0; len], 0));
            debug_assert!(cleared.is_ok());
            self.video.dirty().iter().for_each(|dirty| dirty.add(0..len as u64));
        }
    }
}

/// The ports of [`Adapter`], from `first` on.
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
    /// The number of ports from 3B0H on, as far as a printer's port.
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
    /// The number of ports: a word each at the first and at the second.
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
        let mut adapter = lock(&self.0);
        match (offset, data) {
            (0, &[low, high]) => adapter.dispi.set_index(u16::from_le_bytes([low, high])),
            (1, &[low, high]) => {
                let index = adapter.dispi.index();
                adapter.write_dispi(index, u16::from_le_bytes([low, high]));
            }
            _ => {}
        }
        Effect::None
    }
}

/// A lock that no holder leaves half done.
pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
