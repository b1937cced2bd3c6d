//! Direct I/O, which bypasses the host's page cache, for transfers with the right alignment.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use rustix::fs::{AtFlags, StatxFlags, statx};
use vm_memory::VolatileSlice;

use super::{
    super::options::DiskOptions,
    error::{Failure, Problem},
};

/// Alignment for direct I/O if the kernel doesn't tell it (before Linux 6.1): a page always suffices.
const PAGE: u32 = 4096;

/// The same file, opened for direct I/O, and the alignment that it needs.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) file: File,
    memory_align: u64,
    offset_align: u64,
}

impl Direct {
    /// Opens `file` once more with `O_DIRECT`.
    pub(super) fn open(file: &File, options: &DiskOptions) -> Result<Self, Failure> {
        let file = reopen(file, options)?;
        let statx = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)
            .map_err(Problem::Measure.because())?;
        let known = statx.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
        let (memory, offset) = match known {
            true => (statx.stx_dio_mem_align, statx.stx_dio_offset_align),
            false => (PAGE, PAGE),
        };
        if memory == 0 || offset == 0 {
            return Err(Problem::NoDirect.into());
        }
        Ok(Self { file, memory_align: memory.into(), offset_align: offset.into() })
    }

    /// Returns whether direct I/O can do this transfer.
    pub(super) fn can(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> bool {
        offset.is_multiple_of(self.offset_align)
            && buffers.iter().all(|buffer| {
                (buffer.ptr_guard().as_ptr().addr() as u64).is_multiple_of(self.memory_align)
                    && (buffer.len() as u64).is_multiple_of(self.offset_align)
            })
    }
}

/// Opens `file` once more with `O_DIRECT`. It uses the descriptor, so that it is the same file even if its path now names another one.
pub(super) fn reopen(file: &File, options: &DiskOptions) -> Result<File, Failure> {
    reopen_by(Path::new("/proc/self/fd"), file, options)
}

/// Opens `file` once more by the name that its descriptor has in `folder`.
fn reopen_by(folder: &Path, file: &File, options: &DiskOptions) -> Result<File, Failure> {
    let path = folder.join(file.as_raw_fd().to_string());
    let mut open = OpenOptions::new();
    let open = open.read(true).write(!options.read_only).custom_flags(libc::O_DIRECT).open(path);
    open.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => Problem::NoDirect.into(),
        // The file is open, so it is /proc that is missing.
        ErrorKind::NotFound => Problem::NoProc.into(),
        _ => Problem::Open.because()(error),
    })
}

#[cfg(test)]
#[path = "direct_test.rs"]
mod tests;
