//! The locks of an image that is written to, which can be lent to another process.

use std::{
    io, mem,
    sync::{PoisonError, atomic::Ordering},
};

use super::Qcow2Disk;
use crate::disk::{
    Disk,
    lock::{self, LockedFile},
};

impl Qcow2Disk {
    /// Releases the locks of the image. Its backing files are only read, and stay locked for that.
    pub(super) fn give_locks(&self) -> io::Result<()> {
        self.given.store(true, Ordering::Release);
        self.written().iter().try_for_each(|file| lock::unlock(file))
    }

    /// Takes the locks again, or returns who holds one that is in the way.
    pub(super) fn take_locks(&self) -> io::Result<Option<String>> {
        for file in self.written() {
            if let Some(holder) = lock::lock_or_blame(file, true)? {
                self.written().iter().try_for_each(|file| lock::unlock(file))?;
                return Ok(Some(holder));
            }
        }
        self.given.store(false, Ordering::Release);
        Ok(None)
    }

    /// The files that are locked for writing.
    fn written(&self) -> &[LockedFile] {
        let own = if self.read_only { 0 } else { self.top.files };
        &self.locked[self.locked.len().saturating_sub(own)..]
    }
}

impl Drop for Qcow2Disk {
    fn drop(&mut self) {
        // Dropping an image flushes it, which must not happen with a broken one, nor with one whose locks another process has.
        let given = self.given.load(Ordering::Acquire);
        if !given && let Err(error) = self.flush() {
            log::error!("disk {}: what the guest did not flush may be lost: {error}", self.name);
        }
        if given || self.broken.load(Ordering::Acquire) {
            mem::forget(self.image.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
