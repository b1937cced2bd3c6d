//! The files from which a guest boots.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use arch::memory::GuestRam;
use rustix::fs::MemfdFlags;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::error::KernelError;
use crate::size::Size;

/// An open file, which is read again at each reset of the machine.
///
/// The source keeps the file open, but not its bytes in memory: an initramfs can have gigabytes, and most guests never reboot. Removing or renaming
/// the file has no effect. If the file is overwritten, the old bytes are lost, which [`Stamp`] detects. A pipe can only be read once, so
/// its bytes are kept in memory.
#[derive(Debug)]
pub(super) struct Source {
    option: &'static str,
    path: PathBuf,
    file: File,
    len: u64,
    opened: Stamp,
}

/// Attributes that change when a file is written to. (The time of its last status change is left out: renaming and removing change that,
/// too.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn new(metadata: &Metadata) -> Self {
        Self { len: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

impl Source {
    /// Opens the file that `option` names, or reads a pipe to its end, which must come before `pipe_max` bytes.
    pub(super) fn open(option: &'static str, path: &Path, pipe_max: Size) -> Result<Self, KernelError> {
        let opened = File::open(path).and_then(|file| {
            let (file, metadata) = seekable(file, pipe_max)?;
            let len = (&file).seek(SeekFrom::End(0))?;
            Ok(Self { option, path: path.to_owned(), file, len, opened: Stamp::new(&metadata) })
        });
        opened.map_err(|source| KernelError::Read { option, path: path.to_owned(), source })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The file itself, for code that seeks before it reads.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The first `max` bytes, or all if there are fewer.
    pub(super) fn head(&self, max: usize) -> Result<Vec<u8>, KernelError> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX).min(max);
        let (mut head, mut file) = (vec![0; len], &self.file);
        file.rewind().and_then(|()| file.read_exact(&mut head)).map_err(|source| self.unreadable(source))?;
        Ok(head)
    }

    /// Copies `len` bytes from `offset` on to guest memory at `address`. The caller has checked that all of it is memory.
    pub(super) fn copy(
        &self,
        offset: u64,
        len: u64,
        memory: &GuestRam,
        address: u64,
    ) -> Result<(), KernelError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset)).map_err(|source| self.unreadable(source))?;
        let mut done = 0;
        // One read returns at most 2 GiB.
        while done < len {
            let (at, left) =
                (GuestAddress(address + done), usize::try_from(len - done).unwrap_or(usize::MAX));
            match memory.read_volatile_from(at, &mut file, left) {
                Ok(0) => return Err(self.changed()),
                Ok(count) => done += count as u64,
                Err(GuestMemoryError::IOError(error)) => return Err(self.unreadable(error)),
                Err(other) => return Err(self.unreadable(io::Error::other(other))),
            }
        }
        Ok(())
    }

    /// Fills `bytes` with the file's bytes from `offset` on, which may have changed meanwhile.
    pub(super) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), KernelError> {
        self.file.read_exact_at(bytes, offset).map_err(|source| self.unreadable(source))
    }

    /// Fails if the file was written to after it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), KernelError> {
        let now = self.file.metadata().map_err(|source| self.unreadable(source))?;
        if Stamp::new(&now) == self.opened { Ok(()) } else { Err(self.changed()) }
    }

    fn unreadable(&self, source: io::Error) -> KernelError {
        KernelError::Read { option: self.option, path: self.path.clone(), source }
    }

    fn changed(&self) -> KernelError {
        KernelError::Changed { option: self.option, path: self.path.clone() }
    }
}

/// The file, if it can be sought in and read again; a pipe's contents are put into such a file.
fn seekable(file: File, pipe_max: Size) -> io::Result<(File, Metadata)> {
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_block_device() {
        return Ok((file, metadata));
    }
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_fifo() {
        return Err(io::Error::other("it is a character device; give a file or a pipe"));
    }
    let mut kept = File::from(rustix::fs::memfd_create(c"pipe", MemfdFlags::CLOEXEC)?);
    if io::copy(&mut file.take(pipe_max.0.saturating_add(1)), &mut kept)? > pipe_max.0 {
        return Err(io::Error::other(format!(
            "more than {pipe_max} come out of this pipe, and that is all of --memory"
        )));
    }
    let metadata = kept.metadata()?;
    Ok((kept, metadata))
}

#[cfg(test)]
#[path = "source_test.rs"]
mod tests;
