//! Disks: what a block device needs of an image, whatever its format.
//!
//! A [`Disk`] is opened, checked and locked once, before the guest starts, and outlives resets of the machine. Guest
//! memory is handed down as it is, so that a transfer is copied once: by the kernel.

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

pub use lock::user;
pub(crate) use lock::{lock_or_blame, unlock};
pub use unnamed::unnamed_file;

use std::{fmt::Debug, fs::File, io, ops::Range};

use vm_memory::VolatileSlice;

/// The unit of virtio-blk's addresses and lengths, whatever a disk's block size is.
pub const SECTOR_SIZE: u64 = 512;

/// Blocks as the driver should use them, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// The least unit that can be addressed: a power of two.
    pub logical: u32,
    /// The least unit that is written without reading first: a power of two, at least `logical`.
    pub physical: u32,
    /// The best unit of transfers: a multiple of `physical`, or 0 where none is better than another.
    pub optimal: u32,
    /// The least unit whose space can be given back: a multiple of `logical`.
    pub discard: u32,
}

/// The direction in which bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the disk into memory.
    Read,
    /// From memory onto the disk.
    Write,
}

/// A run of a disk that is all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its length in bytes, more than 0.
    pub len: u64,
    /// It is known to be zeros, without reading it.
    pub is_zero: bool,
}

/// An open disk. Any number of threads may use it at the same time.
pub trait Disk: Send + Sync + Debug {
    /// The name in messages: its path.
    fn name(&self) -> &str;

    /// Its size in bytes, a multiple of [`SECTOR_SIZE`]. Only [`Disk::measure`] changes it.
    fn size(&self) -> u64;

    /// Looks whether the disk has grown, and returns its size from now on. It never shrinks.
    ///
    /// # Errors
    ///
    /// The host can't tell.
    fn measure(&self) -> io::Result<u64> {
        Ok(self.size())
    }

    /// Returns whether everything that would change it is refused.
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

    /// Makes `range` zeros, its ends multiples of [`SECTOR_SIZE`]; with `unmap`, its space may be given back. The caller
    /// has checked that it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host's. What the disk holds in that place is then unknown.
    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()>;

    /// Gives back the space of `range`, as far as that is possible, which need not be at all; its ends are multiples of
    /// [`SECTOR_SIZE`]. What it reads as afterwards is not specified, but never what the guest has not written. The caller
    /// has checked that it lies within the disk.
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

    /// Lets others use the disk, who may write to it then: gives up its locks, while nobody uses it here. All is flushed before.
    ///
    /// # Errors
    ///
    /// The host's.
    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    /// Takes the locks again, or returns who is in the way. Nobody wrote to it meanwhile.
    ///
    /// # Errors
    ///
    /// The host's.
    fn lock_again(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// The kind of data at `offset`, and its length, at most `len`, which is more than 0. The caller has checked that all of
    /// it lies within the disk.
    ///
    /// # Errors
    ///
    /// The host's.
    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent>;

    /// The files that hold the disk's bytes where the guest sees them, for [`Disk::file_for`]. They are one file, opened
    /// more than once perhaps: to sync the first of them is to flush the disk.
    fn files(&self) -> Vec<&File> {
        Vec::new()
    }

    /// The index in [`Disk::files`] of the file for a transfer, if the kernel can do all of it by itself. If not, it is for
    /// [`Disk::read_at`] or [`Disk::write_at`].
    fn file_for(&self, _direction: Direction, _buffers: &[VolatileSlice<'_>], _offset: u64) -> Option<usize> {
        None
    }

    /// Returns whether its bytes are in the host's memory, so that no transfer waits for storage.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Moves what can be moved at once, as what the page cache has. Returns the bytes moved from the front of `buffers`.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: nothing of it can. `Unsupported`: nothing ever can.
    fn transfer_now(&self, _: Direction, _: &[VolatileSlice<'_>], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
