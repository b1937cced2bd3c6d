//! A PCI function, as the bus sees it.

use std::{ops::Range, sync::Arc};

use vmm_sys_util::eventfd::EventFd;

use super::{config::ConfigSpace, memory::BarMemory};
use crate::{bus::Effect, state::SaveState};

/// A PCI function: its configuration space, and the registers or memory in its BARs.
pub trait PciFunction: SaveState {
    /// The configuration space.
    fn config(&self) -> &ConfigSpace;

    /// The configuration space.
    fn config_mut(&mut self) -> &mut ConfigSpace;

    /// Reads `data.len()` bytes of configuration space.
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.config().read(offset, data);
    }

    /// Writes to configuration space.
    fn config_write(&mut self, offset: u16, data: &[u8]) -> Effect {
        self.config_mut().write(offset, data)
    }

    /// The memory of the BAR in register `bar`, if it has memory instead of registers. It never changes. The machine maps it into the guest
    /// where the BAR is decoded, and accesses don't reach the function.
    fn bar_memory(&self, _bar: u8) -> Option<&Arc<BarMemory>> {
        None
    }

    /// Reads from a decoded BAR, given by the number of its register.
    fn bar_read(&mut self, _bar: u8, _offset: u64, data: &mut [u8]) {
        data.fill(0xff);
    }

    /// Writes to a decoded BAR, given by the number of its register.
    fn bar_write(&mut self, _bar: u8, _offset: u64, _data: &[u8]) -> Effect {
        Effect::None
    }

    /// The addresses at which a host bridge decodes configuration space (ECAM). A write that changes them returns [`Effect::Decode`].
    fn ecam(&self) -> Option<Range<u64>> {
        None
    }

    /// The places in BARs for which the machine may signal an eventfd instead of calling [`Self::bar_write`]. A write that changes the
    /// places returns [`Effect::Decode`]; the eventfd of a place stays the same.
    fn doorbells(&self) -> Vec<Doorbell<'_>> {
        Vec::new()
    }
}

/// A place in a BAR where all writes mean the same, or all writes of one value.
#[derive(Clone, Copy, Debug)]
pub struct Doorbell<'a> {
    /// The number of the BAR's register.
    pub bar: u8,
    /// The offset in the BAR.
    pub offset: u64,
    /// The value, written as 16 bits; `None` for any write.
    pub value: Option<u16>,
    /// Signalled for each write.
    pub event: &'a EventFd,
}
