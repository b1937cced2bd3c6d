//! Disks: the interface between block devices and image formats.
//!
//! A [`Disk`] is opened, checked and locked once, before the guest starts, and outlives resets of the machine. Guest memory is passed on as
//! it is, so that the kernel makes the only copy of a transfer.

pub mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod guard;
mod guessed;
pub mod image;
pub mod info;
mod link;
mod lock;
pub mod memory;
pub mod named;
mod options;
pub mod probe;
pub mod qcow2;
pub mod raw;
mod unnamed;
pub mod vmdk;

pub(crate) use lock::{LockedFile, lock_or_blame, unlock};
pub use lock::{is_own, user};
pub use unnamed::unnamed_file;

use std::{fmt::Debug, fs::File, io, ops::Range};

use vm_memory::VolatileSlice;

/// The unit of virtio-blk's addresses and lengths, whatever a disk's block size is.
pub const SECTOR_SIZE: u64 = 512;

/// A disk's block sizes, in bytes, for the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// The smallest unit that can be addressed: a power of two.
    pub logical: u32,
    /// The smallest unit that can be written without reading first: a power of two, at least `logical`.
    pub physical: u32,
    /// The best unit of transfers: a multiple of `physical`, or 0 if there is none.
    pub optimal: u32,
    /// The smallest unit that can be discarded: a multiple of `logical`.
    pub discard: u32,
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the disk into memory.
    Read,
    /// From memory onto the disk.
    Write,
}

/// A run of bytes of a disk that are all of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The length in bytes, more than 0.
    pub len: u64,
    /// All its bytes are zeros, as is known without reading them.
    pub is_zero: bool,
}

/// An open disk. Any number of threads may use it at the same time.
pub trait Disk: Send + Sync + Debug {
    /// The name in messages: its path.
    fn name(&self) -> &str;

    /// The size in bytes, a multiple of [`SECTOR_SIZE`]. Only [`Disk::measure`] changes it.
    fn size(&self) -> u64;

    /// Checks whether the disk has grown, and returns its size from now on. It never shrinks.
    ///
    /// # Errors
    ///
    /// The host can't tell.
    fn measure(&self) -> io::Result<u64> {
        Ok(self.size())
    }

    /// Returns whether all changes to it are refused.
    fn is_read_only(&self) -> bool;

    /// The block sizes.
    fn block_size(&self) -> BlockSize;

    /// Fills `buffers` with what is at `offset`. The caller has checked that all of it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host failed. The contents of the buffers are then unknown.
    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()>;

    /// Writes all of `buffers` at `offset`. The caller has checked that all of it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host failed. The contents of the disk in that place are then unknown.
    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()>;

    /// Zeroes `range`, whose ends are multiples of [`SECTOR_SIZE`]. With `unmap`, its space may be given back. The caller has checked that
    /// it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host failed. The contents of the disk in that place are then unknown.
    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()>;

    /// Gives back the space of `range`, as far as possible, which may be not at all. Its ends are multiples of [`SECTOR_SIZE`]. Later reads
    /// there give unspecified bytes, but only bytes that the guest has written. The caller has checked that it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host's.
    fn discard(&self, range: Range<u64>) -> io::Result<()>;

    /// Returns once every write that has returned is on stable storage.
    ///
    /// # Errors
    ///
    /// The host's.
    fn flush(&self) -> io::Result<()>;

    /// Lets other programs use and change the disk: flushes everything and gives up its locks. Nobody may use it here meanwhile.
    ///
    /// # Errors
    ///
    /// The host's.
    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    /// Takes the locks again, or returns who holds them. Nobody may have written to it meanwhile.
    ///
    /// # Errors
    ///
    /// The host's.
    fn lock_again(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// The kind of the data at `offset`, and the length of the run, at most `len`, which is more than 0. The caller has checked that all of
    /// it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host's.
    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent>;

    /// The files that hold exactly the disk's bytes, for [`Disk::file_for`]. All are the same file, which may be opened several times:
    /// syncing the first one flushes the disk.
    fn files(&self) -> Vec<&File> {
        Vec::new()
    }

    /// The index in [`Disk::files`] of the file for a transfer that the kernel can do completely by itself. If there is none, call
    /// [`Disk::read_at`] or [`Disk::write_at`].
    fn file_for(&self, _direction: Direction, _buffers: &[VolatileSlice<'_>], _offset: u64) -> Option<usize> {
        None
    }

    /// Returns whether its bytes are in the host's memory, so that a transfer never waits for storage.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Moves the bytes that can be moved without waiting, such as those in the page cache. Returns the number of bytes moved, from the
    /// front of `buffers`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if no byte can be. `Unsupported` if this never works.
    fn transfer_now(&self, _: Direction, _: &[VolatileSlice<'_>], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
