//! The initramfs format: a cpio archive in the "newc" form. Linux, "initramfs buffer format".

use std::io::{self, Write};

/// File types of `st_mode`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// Writes an archive into `out`, entry by entry.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    inode: u32,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    /// An empty directory; its parent must have been written before.
    pub(super) fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, DIRECTORY | 0o755, &[])
    }

    /// A file that its owner can read, and run.
    pub(super) fn file(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.entry(name, REGULAR | 0o755, data)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} in an initramfs"));
        let size = u32::try_from(data.len()).map_err(too_large)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
        self.inode += 1;
        self.out.write_all(b"070701")?;
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        for field in [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name.as_bytes())?;
        // The header is 110 bytes; name and data each end on a multiple of four.
        self.out.write_all(&[0; 4][..1 + padding(110 + name.len() + 1)])?;
        self.out.write_all(data)?;
        self.out.write_all(&[0; 4][..padding(data.len())])
    }
}

fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}

#[cfg(test)]
#[path = "cpio_test.rs"]
mod tests;
