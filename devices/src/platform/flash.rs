//! The flash chip in which UEFI keeps its variables.
//!
//! The guest reads the chip as memory, without exits, until it writes a command. Then the buses have to follow ([`Effect::Decode`]): reads
//! cause exits until the guest switches the chip back to its contents. At that time, changed contents go to the [`Store`].

mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod saver;
mod state;
#[cfg(test)]
mod testing;

use std::{fmt::Debug, mem, sync::Arc};

use serde::{Deserialize, Serialize};
use vm_memory::VolatileSlice;

pub use self::{
    file::{VarsError, VarsFile, begins_with_variables, check},
    saver::Saver,
};
use crate::{
    bus::{BusDevice, Effect},
    chipset::Rom,
};

/// The unit of erasing, the same as OVMF's `PcdOvmfFirmwareBlockSize`.
const BLOCK: usize = 4 << 10;
/// The value of a byte that was erased.
const ERASED: u8 = 0xff;

/// The status register.
const READY: u8 = 1 << 7;
const ERASE_ERROR: u8 = 1 << 5;
const PROGRAM_ERROR: u8 = 1 << 4;

/// Commands: the Intel basic command set of JEDEC's Common Flash Interface, as far as QEMU implements it and OVMF's
/// `QemuFlashFvbServicesRuntimeDxe` uses it.
mod command {
    pub(super) const PROGRAM: u8 = 0x10;
    pub(super) const ERASE: u8 = 0x20;
    pub(super) const PROGRAM_TOO: u8 = 0x40;
    pub(super) const CLEAR_STATUS: u8 = 0x50;
    pub(super) const READ_STATUS: u8 = 0x70;
    pub(super) const CONFIRM: u8 = 0xd0;
}

/// Storage that outlives the machine.
pub trait Store: Send + Sync + Debug {
    /// Replaces the stored contents by `contents`, now or soon.
    fn save(&self, contents: Vec<u8>);
}

/// A chip like QEMU's `cfi.pflash01`, one byte wide.
#[derive(Debug)]
pub struct Flash {
    chip: Arc<Rom>,
    store: Arc<dyn Store>,
    mode: Mode,
    status: u8,
    /// The chip's contents differ from the store's.
    changed: bool,
}

/// The meaning of the next access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Reads return the contents, and a write is a command.
    Array,
    /// Reads return the status, and a write is a command.
    Status,
    /// Reads return the status, and a write is data.
    Program,
    /// Reads return the status, and a write confirms that a block has to be erased.
    Erase,
}

impl Flash {
    /// Makes the chip on `chip`'s contents. Changes go to `store`.
    #[must_use]
    pub fn new(chip: Arc<Rom>, store: Arc<dyn Store>) -> Self {
        Self { chip, store, mode: Mode::Array, status: 0, changed: false }
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.chip.size()
    }

    /// The contents, if the guest reads them without exits now.
    #[must_use]
    pub fn mapped(&self) -> Option<&Arc<Rom>> {
        (self.mode == Mode::Array).then_some(&self.chip)
    }

    /// Returns the mode after a command.
    fn command(&mut self, command: u8) -> Mode {
        match command {
            command::PROGRAM | command::PROGRAM_TOO => Mode::Program,
            command::ERASE => Mode::Erase,
            command::READ_STATUS => Mode::Status,
            command::CLEAR_STATUS => {
                self.status = 0;
                Mode::Array
            }
            // QEMU's chip treats unknown commands like this.
            _ => Mode::Array,
        }
    }

    fn program(&mut self, offset: u64, data: &[u8]) {
        let part = self.part(offset, data.len());
        let done = part.map(|part| part.copy_from(data)).is_some();
        self.done(done, PROGRAM_ERROR);
    }

    fn erase(&mut self, offset: u64) {
        let block = offset / BLOCK as u64 * BLOCK as u64;
        let done = self.part(block, BLOCK).map(|part| part.copy_from(&[ERASED; BLOCK])).is_some();
        self.done(done, ERASE_ERROR);
    }

    fn done(&mut self, done: bool, error: u8) {
        self.changed |= done;
        self.status |= if done { READY } else { READY | error };
    }

    /// A part of the chip; none if it is not completely inside.
    fn part(&self, offset: u64, len: usize) -> Option<VolatileSlice<'_>> {
        self.chip.as_volatile_slice().subslice(usize::try_from(offset).ok()?, len).ok()
    }

    /// Saves changed contents in the store.
    fn keep(&mut self) {
        if mem::take(&mut self.changed) {
            self.store.save(self.contents());
        }
    }

    fn contents(&self) -> Vec<u8> {
        let chip = self.chip.as_volatile_slice();
        let mut contents = vec![0; chip.len()];
        chip.copy_to(&mut contents[..]);
        contents
    }
}

/// Handles accesses that cause an exit: writes, and reads of anything but the contents. Reads of the contents also work, for the time
/// before the buses have followed.
impl BusDevice for Flash {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match self.mode {
            Mode::Array => match self.part(offset, data.len()) {
                Some(part) => {
                    part.copy_to(data);
                }
                None => data.fill(0xff),
            },
            // For reads of several bytes of status, QEMU's chip is 16 bits wide.
            _ => data.chunks_mut(2).for_each(|word| {
                word.fill(0);
                word[0] = self.status;
            }),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let Some(&low) = data.first() else { return Effect::None };
        let mode = match self.mode {
            Mode::Array | Mode::Status => self.command(low),
            Mode::Program => {
                self.program(offset, data);
                Mode::Status
            }
            Mode::Erase if low == command::CONFIRM => {
                self.erase(offset);
                Mode::Status
            }
            Mode::Erase => Mode::Array,
        };
        let before = mem::replace(&mut self.mode, mode);
        if mode == Mode::Array {
            self.keep();
        }
        if (before == Mode::Array) == (mode == Mode::Array) { Effect::None } else { Effect::Decode }
    }
}

/// Saves the contents: a machine may end, or be reset, between two commands.
impl Drop for Flash {
    fn drop(&mut self) {
        self.keep();
    }
}

#[cfg(test)]
#[path = "flash_test.rs"]
mod tests;
