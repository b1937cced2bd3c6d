//! Files of guest memory, in which pages of zeros are holes.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::{error::InspectError, ram};
use crate::{output::Taken, sparse::write_pages};

/// The most bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// Returns whether to give up a long operation. It is called for each piece of memory and each page table.
pub(crate) type Stop<'a> = &'a dyn Fn() -> bool;

/// A file to which memory is written in order.
pub(super) struct MemoryFile<'a> {
    file: &'a File,
    position: u64,
    piece: Vec<u8>,
    stop: Stop<'a>,
}

impl<'a> MemoryFile<'a> {
    /// Makes or truncates the file at `path`, and calls `write` to fill it. If that fails, the file is left empty, and the error says so.
    ///
    /// # Errors
    ///
    /// The file must not be overwritten, or `write` fails.
    pub(super) fn fill(
        taken: &Taken,
        command: &'static str,
        path: &Path,
        stop: Stop<'_>,
        write: impl FnOnce(&mut MemoryFile<'_>) -> Result<(), InspectError>,
    ) -> Result<(), InspectError> {
        let file = taken.replace(command, path)?;
        let mut memory_file = MemoryFile::new(&file, stop);
        let written = write(&mut memory_file).and_then(|()| memory_file.end());
        let Err(source) = written else { return Ok(()) };
        let (path, source) = (path.to_owned(), Box::new(source));
        Err(match file.set_len(0) {
            Ok(()) => InspectError::Emptied { command, path, source },
            Err(error) => InspectError::Partial { command, path, error, source },
        })
    }

    fn new(file: &'a File, stop: Stop<'a>) -> Self {
        Self { file, position: 0, piece: vec![0; PIECE], stop }
    }

    /// Skips bytes that are written at the end, by [`MemoryFile::write_at`].
    pub(super) fn skip(&mut self, len: u64) {
        self.position += len;
    }

    /// Writes `bytes` to the place that was skipped.
    pub(super) fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), InspectError> {
        self.file.write_all_at(bytes, position).map_err(InspectError::Write)
    }

    /// Appends `len` bytes of RAM.
    ///
    /// # Errors
    ///
    /// The addresses are not RAM, the host refuses, or it has to stop.
    pub(super) fn append(
        &mut self,
        memory: &GuestRam,
        mut address: u64,
        mut len: u64,
    ) -> Result<(), InspectError> {
        while len > 0 {
            if (self.stop)() {
                return Err(InspectError::Stopped);
            }
            let now = usize::try_from(len).map_or(PIECE, |len| len.min(PIECE));
            let piece = &mut self.piece[..now];
            memory.read_slice(piece, GuestAddress(address)).map_err(|_| ram::missing(memory, address))?;
            write_pages(self.file, piece, self.position).map_err(InspectError::Write)?;
            self.position += now as u64;
            address += now as u64;
            len -= now as u64;
        }
        Ok(())
    }

    /// Sets the file's length, including holes at its end.
    fn end(&self) -> Result<(), InspectError> {
        self.file.set_len(self.position).map_err(InspectError::Write)
    }
}

#[cfg(test)]
#[path = "file_test.rs"]
mod tests;
