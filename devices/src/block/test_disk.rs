//! A disk for tests that fails on demand.

use std::{
    io,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
};

use vm_memory::VolatileSlice;

use crate::disk::{BlockSize, Direction, Disk, Extent};

#[derive(Debug)]
pub(crate) struct TestDisk {
    pub(crate) bytes: Mutex<Vec<u8>>,
    pub(crate) read_only: bool,
    pub(crate) block_size: BlockSize,
    pub(crate) flushes: AtomicUsize,
    /// The number of sectors that were added, but not measured yet.
    pub(crate) growth: AtomicUsize,
    /// The parts that were discarded, and those that were zeroed with permission to free their space.
    pub(crate) unmapped: Mutex<Vec<Range<u64>>>,
    /// The errno with which every operation fails, unless it is 0.
    pub(crate) errno: AtomicI32,
    /// The errno with which flushes fail, unless it is 0.
    pub(crate) flush_errno: AtomicI32,
    pub(crate) in_memory: bool,
    /// The answer to transfers that must not wait: the number of bytes moved, or an error.
    pub(crate) at_once: Mutex<Result<usize, io::ErrorKind>>,
    /// The number of transfers that must not wait.
    pub(crate) tries: AtomicUsize,
}

impl TestDisk {
    /// A disk whose sectors all differ.
    pub(crate) fn new(sectors: u16) -> Self {
        let bytes = (0..sectors).flat_map(|sector| sector.to_le_bytes().repeat(256)).collect();
        Self {
            bytes: Mutex::new(bytes),
            read_only: false,
            block_size: BlockSize { logical: 512, physical: 4096, optimal: 0, discard: 4096 },
            flushes: AtomicUsize::new(0),
            growth: AtomicUsize::new(0),
            unmapped: Mutex::default(),
            errno: AtomicI32::new(0),
            flush_errno: AtomicI32::new(0),
            in_memory: false,
            at_once: Mutex::new(Err(io::ErrorKind::Unsupported)),
            tries: AtomicUsize::new(0),
        }
    }

    fn fail(&self) -> io::Result<()> {
        fail(&self.errno)
    }
}

fn fail(errno: &AtomicI32) -> io::Result<()> {
    match errno.load(Ordering::Relaxed) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

impl Disk for TestDisk {
    fn name(&self) -> &str {
        "/images/test.img"
    }

    fn size(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }

    fn measure(&self) -> io::Result<u64> {
        self.fail()?;
        let mut bytes = self.bytes.lock().unwrap();
        let len = bytes.len() + 512 * self.growth.swap(0, Ordering::Relaxed);
        bytes.resize(len, 0);
        Ok(len as u64)
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn block_size(&self) -> BlockSize {
        self.block_size
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.fail()?;
        let bytes = self.bytes.lock().unwrap();
        let mut bytes = &bytes[usize::try_from(offset).unwrap()..];
        for buffer in buffers {
            buffer.copy_from(&bytes[..buffer.len()]);
            bytes = &bytes[buffer.len()..];
        }
        Ok(())
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.fail()?;
        assert!(!self.read_only, "a write to a read-only disk");
        let mut bytes = self.bytes.lock().unwrap();
        let mut bytes = &mut bytes[usize::try_from(offset).unwrap()..];
        for buffer in buffers {
            let (part, rest) = bytes.split_at_mut(buffer.len());
            buffer.copy_to(part);
            bytes = rest;
        }
        Ok(())
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        self.fail()?;
        assert!(!self.read_only, "a write to a read-only disk");
        let at = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        self.bytes.lock().unwrap()[at].fill(0);
        if unmap {
            self.unmapped.lock().unwrap().push(range);
        }
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.fail()?;
        assert!(!self.read_only, "a write to a read-only disk");
        self.unmapped.lock().unwrap().push(range);
        Ok(())
    }

    fn extent_at(&self, _: u64, len: u64) -> io::Result<Extent> {
        Ok(Extent { len, is_zero: false })
    }

    fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    fn transfer_now(&self, _: Direction, _: &[VolatileSlice<'_>], _: u64) -> io::Result<usize> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        self.at_once.lock().unwrap().map_err(io::Error::from)
    }

    fn flush(&self) -> io::Result<()> {
        self.fail()?;
        fail(&self.flush_errno)?;
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
