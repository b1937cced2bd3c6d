//! Raw images: files and block devices whose bytes are the disk's.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Seek, SeekFrom},
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, StatxFlags, ioctl_blkpbszget, ioctl_blksszget, statx},
    io::Errno,
};
use vm_memory::VolatileSlice;

use super::{BlockSize, Disk, SECTOR_SIZE, lock, vectored};

/// The blocks of a disk that is a file: sectors that any partition table was made for, in pages of the page cache.
const FILE_BLOCK_SIZE: BlockSize = BlockSize {
    logical: 512,
    physical: 4096,
};

/// Alignment for direct I/O where the kernel doesn't tell (before Linux 6.1): a page suits everything.
const PAGE: u32 = 4096;

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
pub enum DiskError {
    /// Nothing has that name.
    #[error("disk {} does not exist", .0.display())]
    Missing(PathBuf),
    /// A directory.
    #[error("disk {} is a directory; give an image file or a block device", .0.display())]
    Directory(PathBuf),
    /// A terminal, a pipe, a socket.
    #[error("disk {} is neither a file nor a block device", .0.display())]
    NotADisk(PathBuf),
    /// A file of no bytes, or a drive with no medium.
    #[error("disk {path} is empty; give it a size first: truncate -s 10G {path}", path = .0.display())]
    Empty(PathBuf),
    /// Readable, but not writable.
    #[error("disk {} can't be written to; change that, or add readonly=on", path.display())]
    ReadOnly {
        /// The disk.
        path: PathBuf,
        /// What the host said to writing.
        source: io::Error,
    },
    /// Somebody else uses it.
    #[error("disk {} is in use by {holder}; end that, or share the disk with readonly=on on both sides", path.display())]
    Locked {
        /// The disk.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// The file system has no direct I/O.
    #[error("disk {} can't be read past the page cache; use direct=off", .0.display())]
    NoDirect(PathBuf),
    /// Anything else.
    #[error("can't {action} disk {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The disk.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

/// An open raw image, locked until it is dropped.
#[derive(Debug)]
pub struct RawDisk {
    name: String,
    file: File,
    direct: Option<Direct>,
    /// Length of the file, which need not be whole sectors.
    len: u64,
    block_size: BlockSize,
    read_only: bool,
}

/// The same file past the page cache, and what its I/O has to be multiples of.
#[derive(Debug)]
struct Direct {
    file: File,
    memory_align: u64,
    offset_align: u64,
}

impl RawDisk {
    /// Opens and locks the image at `path`.
    ///
    /// # Errors
    ///
    /// It is missing, no disk, empty, in use by another, not writable although that was asked for, or not able to do
    /// direct I/O although that was asked for.
    pub fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        let failed = |action| {
            let path = path.to_path_buf();
            move |source| DiskError::Io { action, path, source }
        };
        // Before opening, because that alone acts on some character devices and waits on a FIFO.
        let kind = match fs::metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(DiskError::Missing(path.into())),
            Err(error) => return Err(failed("open")(error)),
        };
        if kind.is_dir() {
            return Err(DiskError::Directory(path.into()));
        }
        if !kind.is_file() && !kind.is_block_device() {
            return Err(DiskError::NotADisk(path.into()));
        }

        let mut file = open_file(path, options)?;
        if !lock::lock(&file, !options.read_only).map_err(failed("lock"))? {
            let holder = lock::holder(&file).unwrap_or_else(|| "another program".into());
            return Err(DiskError::Locked {
                path: path.into(),
                holder,
            });
        }
        let len = file.seek(SeekFrom::End(0)).map_err(failed("measure"))?;
        if len == 0 {
            return Err(DiskError::Empty(path.into()));
        }
        let block_size = match kind.is_block_device() {
            true => device_block_size(&file).map_err(|errno| failed("measure")(errno.into()))?,
            false => FILE_BLOCK_SIZE,
        };
        let direct = match options.direct {
            true => match Direct::open(&file, options).map_err(failed("open"))? {
                Some(direct) => Some(direct),
                None => return Err(DiskError::NoDirect(path.into())),
            },
            false => None,
        };
        let name = path.display().to_string();
        Ok(Self {
            name,
            file,
            direct,
            len,
            block_size,
            read_only: options.read_only,
        })
    }

    /// The file to use for a transfer. What direct I/O can't do goes through the page cache, which the kernel keeps
    /// coherent with it: the odd sector, the odd address, and the part of a sector at the end of a file.
    fn file_for(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> &File {
        match &self.direct {
            Some(direct) if direct.can(buffers, offset) && offset + vectored::total(buffers) <= self.len => {
                &direct.file
            }
            _ => &self.file,
        }
    }
}

impl Disk for RawDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.len.next_multiple_of(SECTOR_SIZE)
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn block_size(&self) -> BlockSize {
        self.block_size
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let read = vectored::read(self.file_for(buffers, offset), buffers, offset)?;
        if read == vectored::total(buffers) {
            return Ok(());
        }
        // Past the end of a file that is not whole sectors are zeros. Short of its end, somebody truncated it.
        if offset + read < self.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        zero_from(buffers, read);
        Ok(())
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        vectored::write(self.file_for(buffers, offset), buffers, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Direct {
    /// Opens `file` once more with `O_DIRECT`; `None` if it can't do that.
    fn open(file: &File, options: &DiskOptions) -> io::Result<Option<Self>> {
        // By descriptor, so that it is the same file even if its path was given to another.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = OpenOptions::new()
            .read(true)
            .write(!options.read_only)
            .custom_flags(libc::O_DIRECT)
            .open(path);
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(None),
            opened => opened?,
        };
        let statx = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
        let known = statx.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
        let (memory, offset) = if known {
            (statx.stx_dio_mem_align, statx.stx_dio_offset_align)
        } else {
            (PAGE, PAGE)
        };
        if memory == 0 || offset == 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            file,
            memory_align: memory.into(),
            offset_align: offset.into(),
        }))
    }

    fn can(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> bool {
        offset.is_multiple_of(self.offset_align)
            && buffers.iter().all(|buffer| {
                (buffer.ptr_guard().as_ptr().addr() as u64).is_multiple_of(self.memory_align)
                    && (buffer.len() as u64).is_multiple_of(self.offset_align)
            })
    }
}

fn open_file(path: &Path, options: &DiskOptions) -> Result<File, DiskError> {
    let open = |write| OpenOptions::new().read(true).write(write).open(path);
    let path = path.to_path_buf();
    match open(!options.read_only) {
        Ok(file) => Ok(file),
        Err(source) if !options.read_only && open(false).is_ok() => Err(DiskError::ReadOnly { path, source }),
        Err(source) => Err(DiskError::Io {
            action: "open",
            path,
            source,
        }),
    }
}

fn device_block_size(device: &File) -> Result<BlockSize, Errno> {
    let logical = ioctl_blksszget(device)?;
    Ok(BlockSize {
        logical,
        physical: ioctl_blkpbszget(device)?.max(logical),
    })
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
