//! Memory that was never touched: it need not be read, which would take time and allocate it.
//!
//! This works for private mappings only, such as guest memory and BARs: a swapped-out page of a shared mapping looks untouched.

use std::{fs::File, os::unix::fs::FileExt};

use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use vm_memory::{FileOffset, VolatileSlice};

use crate::sparse::PAGE;

/// The kernel's table of this process's pages, with 64 bits for each: Documentation/admin-guide/mm/pagemap.rst.
pub(crate) const TABLE: &str = "/proc/self/pagemap";
const ENTRY: usize = size_of::<u64>();
/// The bits of a page that is present, and of one that is swapped out or being moved.
const TOUCHED: u64 = 1 << 63 | 1 << 62;
/// The most pages asked about at once: those of 2 MiB at any address.
const MOST: usize = (2 << 20) / PAGE + 1;

/// Finds memory that was never touched, if the kernel tells.
#[derive(Debug)]
pub(crate) struct Untouched(Option<File>);

impl Untouched {
    /// Opens the kernel's table. Without it, as with `--chroot` or `--user`, all memory counts as touched.
    pub(crate) fn open() -> Self {
        let table = File::open(TABLE).inspect_err(|error| {
            log::debug!("{TABLE}: {error}: memory is read even if the guest never used it");
        });
        Self(table.ok())
    }

    /// Returns whether these bytes, at most 2 MiB of a private mapping, are known to be zeros: nobody has touched them, and the file that
    /// they are mapped from, if any, has a hole there.
    pub(crate) fn has(&self, bytes: &VolatileSlice<'_>, file: Option<&FileOffset>) -> bool {
        let Some(table) = &self.0 else { return false };
        let start = bytes.ptr_guard().as_ptr().addr();
        let pages = start / PAGE..(start + bytes.len()).div_ceil(PAGE);
        let mut entries = [0; MOST * ENTRY];
        let Some(entries) = entries.get_mut(..pages.len() * ENTRY) else { return false };
        if table.read_exact_at(entries, (pages.start * ENTRY) as u64).is_err() {
            return false;
        }
        let is_touched = |entry: &[u8; ENTRY]| u64::from_ne_bytes(*entry) & TOUCHED != 0;
        let (entries, _) = entries.as_chunks();
        !entries.iter().any(is_touched) && file.is_none_or(|file| is_hole(file, bytes.len() as u64))
    }
}

/// Returns whether the `len` bytes of a file from this offset on are a hole.
fn is_hole(file: &FileOffset, len: u64) -> bool {
    match seek(file.file(), SeekFrom::Data(file.start())) {
        Ok(data) => data >= file.start() + len,
        // There is no data any more.
        Err(error) => error == Errno::NXIO,
    }
}

#[cfg(test)]
#[path = "untouched_test.rs"]
mod tests;
