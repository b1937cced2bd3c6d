use std::sync::{Arc, Mutex, PoisonError};

use devices::{once::Once, platform::flash::Flash};

use super::mapped::MemorySlots;

/// The memory slot of a flash chip, from which the guest reads without exits. It is deleted while the chip shows something other than its
/// contents.
#[derive(Debug)]
pub(crate) struct FlashSlot {
    address: u64,
    flash: Arc<Mutex<Flash>>,
    kvm: Arc<dyn MemorySlots>,
    slot: Option<u32>,
    /// Logged once when KVM does not map it.
    said_refused: Once,
}

impl FlashSlot {
    /// No slot yet, for the chip at `address`.
    pub(crate) fn new(address: u64, flash: Arc<Mutex<Flash>>, kvm: Arc<dyn MemorySlots>) -> Self {
        Self { address, flash, kvm, slot: None, said_refused: Once::default() }
    }

    /// Makes or deletes the slot, depending on whether the chip shows its contents. Without the slot, accesses cause exits, which the chip
    /// handles.
    pub(super) fn follow(&mut self) {
        let shown = self.flash.lock().unwrap_or_else(PoisonError::into_inner).mapped().cloned();
        match (shown, self.slot) {
            (Some(chip), None) => match self.kvm.create_read_only(self.address, &chip) {
                Ok(slot) => self.slot = Some(slot),
                Err(error) => self.said_refused.info(format_args!(
                    "KVM does not map the flash chip at {:#x}, and each access to it costs an exit: {error}",
                    self.address
                )),
            },
            (None, Some(slot)) => match self.kvm.delete(slot) {
                Ok(()) => self.slot = None,
                Err(error) => {
                    log::warn!(
                        "the memory of the flash chip at {:#x} can't be taken away: {error}",
                        self.address
                    );
                }
            },
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

#[cfg(test)]
#[path = "flash_test.rs"]
mod tests;
