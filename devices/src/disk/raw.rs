//! Raw images: files and block devices whose bytes are the disk's.

mod direct;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Seek, SeekFrom},
    iter,
    ops::Range,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{FallocateFlags, SeekFrom as SeekTo, fallocate, fstatfs, ioctl_blkpbszget, ioctl_blksszget, seek},
    io::Errno,
};
use vm_memory::VolatileSlice;

use self::direct::Direct;
use super::{BlockSize, Direction, Disk, Extent, SECTOR_SIZE, lock, vectored};
use crate::printable::ToPrintable;

/// The blocks of a disk that is a file: sectors that any partition table was made for, in pages of the page cache.
pub(super) const FILE_BLOCK_SIZE: BlockSize =
    BlockSize { logical: 512, physical: 4096, optimal: 0, discard: 4096 };

/// Zeros that are written where the file can't make them, a part at a time.
pub(super) const ZEROES: usize = 256 << 10;

/// How to open a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskOptions {
    /// Never write to it, and share it with other readers.
    pub read_only: bool,
    /// Go past the host's page cache (`O_DIRECT`).
    pub direct: bool,
}

/// Why a disk can't be used.
#[derive(Debug, thiserror::Error)]
#[error("disk {} {problem}", path.printable())]
pub struct DiskError {
    /// What the user gave.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
    /// What the host said, if it was asked.
    pub source: Option<io::Error>,
}

/// What can be wrong with a disk, and the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing has that name.
    #[error("does not exist")]
    Missing,
    /// A directory.
    #[error("is a directory; give an image file or a block device")]
    Directory,
    /// A terminal, a pipe, a socket.
    #[error("is neither a file nor a block device")]
    NotADisk,
    /// A file of no bytes, or a drive with no medium.
    #[error("is empty; give it a size first, as truncate -s 10G does")]
    Empty,
    /// Readable, but not writable.
    #[error("can't be written to; change that, or add readonly=on")]
    ReadOnly,
    /// Somebody else uses it.
    #[error("is in use by {0}; end that, or use readonly=on on both sides")]
    InUse(String),
    /// Its file system has no direct I/O.
    #[error("can't be used past the page cache; use direct=off")]
    NoDirect,
    /// /proc is not mounted, and reopening with `O_DIRECT` needs it.
    #[error("can't be used past the page cache without /proc; mount it, or use direct=off")]
    NoProc,
    /// It can't be opened.
    #[error("can't be opened")]
    Open,
    /// It can't be locked.
    #[error("can't be locked")]
    Lock,
    /// Its size is not known.
    #[error("can't be measured")]
    Measure,
}

/// An open raw image, locked until it is dropped.
#[derive(Debug)]
pub struct RawDisk {
    name: String,
    file: File,
    direct: Option<Direct>,
    /// Length of the file, which need not be whole sectors.
    len: AtomicU64,
    block_size: BlockSize,
    read_only: bool,
    in_memory: bool,
}

/// A file that disks are made of, open and locked until it is dropped.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// Its length in bytes.
    pub(super) len: u64,
    is_device: bool,
}

impl Opened {
    /// Opens and locks the file at `path`.
    ///
    /// # Errors
    ///
    /// Those of [`RawDisk::open`], but for direct I/O.
    pub(super) fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        Self::try_open(path, options, true).map_err(Failure::of(path))
    }

    /// Opens the file at `path` to look at it, whoever uses it: read-only and without a lock.
    ///
    /// # Errors
    ///
    /// Those of [`RawDisk::open`], but for locks and direct I/O.
    pub(super) fn look(path: &Path) -> Result<Self, DiskError> {
        let options = DiskOptions { read_only: true, direct: false };
        Self::try_open(path, &options, false).map_err(Failure::of(path))
    }

    fn try_open(path: &Path, options: &DiskOptions, locked: bool) -> Result<Self, Failure> {
        // Before opening, because that alone acts on some character devices and waits on a FIFO.
        let kind = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Problem::Missing.into(),
            _ => Problem::Open.because()(error),
        })?;
        if kind.is_dir() {
            return Err(Problem::Directory.into());
        }
        let is_device = kind.file_type().is_block_device();
        if !is_device && !kind.is_file() {
            return Err(Problem::NotADisk.into());
        }

        if is_device && !options.read_only && is_read_only_device(kind.rdev()) {
            return Err(Problem::ReadOnly.into());
        }

        let mut file = open_file(path, options)?;
        if locked
            && let Some(holder) =
                lock::lock_or_blame(&file, !options.read_only).map_err(Problem::Lock.because())?
        {
            return Err(Problem::InUse(holder).into());
        }
        let len = file.seek(SeekFrom::End(0)).map_err(Problem::Measure.because())?;
        if len == 0 {
            return Err(Problem::Empty.into());
        }
        Ok(Self { file, len, is_device })
    }

    /// Uses a file that nobody else can open.
    pub(super) fn from_file(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len, is_device: false })
    }

    /// The same file past the page cache.
    pub(super) fn reopen_direct(&self, path: &Path, options: &DiskOptions) -> Result<File, DiskError> {
        direct::reopen(&self.file, options).map_err(Failure::of(path))
    }
}

impl RawDisk {
    /// Opens and locks the image at `path`.
    ///
    /// # Errors
    ///
    /// It is missing, no disk, empty, in use by another, not writable although that was asked for, or not able to do
    /// direct I/O although that was asked for.
    pub fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        Self::new(Opened::open(path, options)?, path, options)
    }

    /// Uses a file that was opened with the same `path` and `options`.
    pub(super) fn new(opened: Opened, path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        let Opened { file, len, is_device } = opened;
        let block_size = if is_device { device_block_size(&file) } else { Ok(FILE_BLOCK_SIZE) };
        let direct = if options.direct { Direct::open(&file, options).map(Some) } else { Ok(None) };
        Ok(Self {
            name: path.printable().to_string(),
            block_size: block_size.map_err(Failure::of(path))?,
            direct: direct.map_err(Failure::of(path))?,
            in_memory: is_in_memory(&file),
            file,
            len: len.into(),
            read_only: options.read_only,
        })
    }

    /// The file to use for a transfer. What direct I/O can't do goes through the page cache, which the kernel keeps
    /// coherent with it: the odd sector, the odd address, and the part of a sector at the end of a file.
    fn suitable(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> &File {
        match &self.direct {
            Some(direct)
                if direct.can(buffers, offset) && offset + vectored::total(buffers) <= self.len() =>
            {
                &direct.file
            }
            _ => &self.file,
        }
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Where in the file what `whence` says begins, from `offset` on: its end, if nowhere.
    fn seek(&self, whence: fn(u64) -> SeekTo, offset: u64) -> io::Result<u64> {
        match seek(&self.file, whence(offset)) {
            Err(Errno::NXIO) => Ok(u64::MAX),
            found => Ok(found?),
        }
    }
}

impl Disk for RawDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.len().next_multiple_of(SECTOR_SIZE)
    }

    fn measure(&self) -> io::Result<u64> {
        let len = (&self.file).seek(SeekFrom::End(0))?;
        self.len.fetch_max(len, Ordering::Relaxed);
        Ok(self.size())
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn block_size(&self) -> BlockSize {
        self.block_size
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let read = vectored::read(self.suitable(buffers, offset), buffers, offset)?;
        if read == vectored::total(buffers) {
            return Ok(());
        }
        // Past the end of a file that is not whole sectors are zeros. Short of its end, somebody truncated it.
        if offset + read < self.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        zero_from(buffers, read);
        Ok(())
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        vectored::write(self.suitable(buffers, offset), buffers, offset)
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        if unmap && allocate(&self.file, &range, FallocateFlags::PUNCH_HOLE)? {
            return Ok(());
        }
        if allocate(&self.file, &range, FallocateFlags::ZERO_RANGE)? {
            return Ok(());
        }
        let mut zeroes = vec![0; ZEROES];
        let mut offset = range.start;
        while offset < range.end {
            let part = usize::try_from(range.end - offset).unwrap_or(ZEROES).min(ZEROES);
            self.write_at(&[VolatileSlice::from(&mut zeroes[..part])], offset)?;
            offset += part as u64;
        }
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        // A device takes nothing less than a block.
        let unit = u64::from(self.block_size.logical);
        let (start, end) = (range.start.next_multiple_of(unit), range.end - range.end % unit);
        if start >= end {
            return Ok(());
        }
        allocate(&self.file, &(start..end), FallocateFlags::PUNCH_HOLE).map(drop)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        // A device tells nothing, and has no end to seek from.
        let Ok(data) = self.seek(SeekTo::Data, offset) else {
            return Ok(Extent { len, is_zero: false });
        };
        let is_zero = data > offset;
        let end = if is_zero { data } else { self.seek(SeekTo::Hole, offset)? };
        Ok(Extent { len: len.min(end - offset), is_zero })
    }

    fn files(&self) -> Vec<&File> {
        iter::once(&self.file).chain(self.direct.as_ref().map(|direct| &direct.file)).collect()
    }

    fn file_for(&self, _: Direction, buffers: &[VolatileSlice<'_>], offset: u64) -> Option<usize> {
        // The part of a sector at the end of a file is not the kernel's to fill.
        let whole = offset + vectored::total(buffers) <= self.len();
        let direct = || self.direct.as_ref().is_some_and(|direct| direct.can(buffers, offset));
        whole.then(|| usize::from(direct()))
    }

    fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    fn transfer_now(
        &self,
        direction: Direction,
        buffers: &[VolatileSlice<'_>],
        offset: u64,
    ) -> io::Result<usize> {
        if self.direct.is_some() {
            // Past the page cache there is nothing at once.
            return Err(ErrorKind::Unsupported.into());
        }
        vectored::now(&self.file, direction, buffers, offset)
    }
}

/// Whether the file is on a file system whose files are in memory, and nowhere else. It may be swapped out.
fn is_in_memory(file: &File) -> bool {
    // linux/magic.h: TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC.
    const IN_MEMORY: [i64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];
    fstatfs(file).is_ok_and(|facts| IN_MEMORY.contains(&facts.f_type))
}

/// A problem, and the host's word on it.
#[derive(Debug)]
struct Failure(Problem, Option<io::Error>);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem, None)
    }
}

impl Failure {
    fn of(path: &Path) -> impl FnOnce(Self) -> DiskError {
        |Self(problem, source)| DiskError { path: path.to_path_buf(), problem, source }
    }
}

impl Problem {
    pub(super) fn at(self, path: &Path) -> DiskError {
        Failure::of(path)(self.into())
    }

    fn because<E: Into<io::Error>>(self) -> impl FnOnce(E) -> Failure {
        |error| Failure(self, Some(error.into()))
    }
}

fn open_file(path: &Path, options: &DiskOptions) -> Result<File, Failure> {
    let open = |write| OpenOptions::new().read(true).write(write).open(path);
    open(!options.read_only).map_err(|error| {
        let readable = !options.read_only && open(false).is_ok();
        let problem = if readable { Problem::ReadOnly } else { Problem::Open };
        problem.because()(error)
    })
}

/// Changes how `range` of `file` is stored, and nothing behind its end; `false`: its file system can't.
pub(super) fn allocate(file: &File, range: &Range<u64>, flags: FallocateFlags) -> io::Result<bool> {
    loop {
        match fallocate(file, flags | FallocateFlags::KEEP_SIZE, range.start, range.end - range.start) {
            Ok(()) => return Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a block device takes no writes. Opening it for writing works all the same.
fn is_read_only_device(device: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/ro")).is_ok_and(|it| it.trim_end() == "1")
}

fn device_block_size(device: &File) -> Result<BlockSize, Failure> {
    let logical = ioctl_blksszget(device).map_err(Problem::Measure.because())?;
    let physical = ioctl_blkpbszget(device).map_err(Problem::Measure.because())?;
    let physical = physical.max(logical);
    Ok(BlockSize { logical, physical, optimal: 0, discard: physical })
}

/// Zeroes `buffers` but for their first `skip` bytes. What is left is less than a sector.
fn zero_from(buffers: &[VolatileSlice<'_>], skip: u64) {
    let mut skip = usize::try_from(skip).unwrap_or(usize::MAX);
    for buffer in buffers {
        let kept = skip.min(buffer.len());
        skip -= kept;
        if let Ok(rest) = buffer.offset(kept) {
            rest.copy_from(&[0_u8; 512]);
        }
    }
}

#[cfg(test)]
#[path = "raw_test.rs"]
mod tests;
