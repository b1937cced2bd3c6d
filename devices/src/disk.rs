//! Disks: what a block device needs of an image, whatever its format.
//!
//! A [`Disk`] is opened, checked and locked once, before the guest starts, and outlives resets of the machine. Guest
//! memory is handed down as it is, so that a transfer is copied once: by the kernel.

pub mod format;
pub mod guard;
mod lock;
pub mod qcow2;
pub mod raw;
mod vectored;
pub mod vmdk;

use std::{fmt::Debug, io};

use vm_memory::VolatileSlice;

/// The unit of virtio-blk's addresses and lengths, whatever a disk's block size is.
pub const SECTOR_SIZE: u64 = 512;

/// Blocks as the driver should use them: powers of two, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// The least unit that can be addressed.
    pub logical: u32,
    /// The least unit that is written without reading first. At least `logical`.
    pub physical: u32,
}

/// An open disk. Any number of threads may use it at the same time.
pub trait Disk: Send + Sync + Debug {
    /// What messages call it: its path.
    fn name(&self) -> &str;

    /// Its size in bytes, a multiple of [`SECTOR_SIZE`].
    fn size(&self) -> u64;

    /// Whether [`Disk::write_at`] is refused.
    fn is_read_only(&self) -> bool;

    /// Its blocks.
    fn block_size(&self) -> BlockSize;

    /// Fills `buffers` with what is at `offset`. The caller has checked that all of it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host's. What the buffers hold is then unknown.
    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()>;

    /// Writes all of `buffers` at `offset`. The caller has checked that all of it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host's. What the disk holds in that place is then unknown.
    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()>;

    /// Returns once every write that has returned is on stable storage.
    ///
    /// # Errors
    ///
    /// The host's.
    fn flush(&self) -> io::Result<()>;
}
