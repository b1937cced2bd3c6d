//! The initramfs format: a cpio archive in the "newc" form. Linux, "initramfs buffer format".

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// File types of `st_mode`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Writes an archive to `out`, entry by entry.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    inode: u32,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    /// Writes an empty directory. Its parent must have been written before.
    pub(super) fn directory(&mut self, name: impl AsRef<Path>, permissions: u32) -> io::Result<()> {
        self.entry(name.as_ref(), DIRECTORY | permissions, 0, &[])
    }

    /// Writes a file.
    pub(super) fn file(&mut self, name: impl AsRef<Path>, permissions: u32, data: &[u8]) -> io::Result<()> {
        self.entry(name.as_ref(), REGULAR | permissions, 0, data)
    }

    /// Writes a file of this length, with the bytes of `data`.
    pub(super) fn file_of(
        &mut self,
        name: impl AsRef<Path>,
        permissions: u32,
        len: u64,
        data: impl Read,
    ) -> io::Result<()> {
        self.header(name.as_ref(), REGULAR | permissions, 0, len)?;
        if io::copy(&mut data.take(len), &mut self.out)? != len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        self.pad(len)
    }

    /// Writes a symbolic link.
    pub(super) fn link(&mut self, name: impl AsRef<Path>, target: &Path) -> io::Result<()> {
        self.entry(name.as_ref(), LINK | 0o777, 0, target.as_os_str().as_bytes())
    }

    /// Writes a device, a FIFO or a socket, given by its complete `st_mode` and its `st_rdev`.
    pub(super) fn special(&mut self, name: impl AsRef<Path>, mode: u32, device: u64) -> io::Result<()> {
        self.entry(name.as_ref(), mode, device, &[])
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry(Path::new("TRAILER!!!"), 0, 0, &[])?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &Path, mode: u32, device: u64, data: &[u8]) -> io::Result<()> {
        let len = data.len() as u64;
        self.header(name, mode, device, len)?;
        self.out.write_all(data)?;
        self.pad(len)
    }

    /// Writes the header before the data of a file.
    fn header(&mut self, name: &Path, mode: u32, device: u64, len: u64) -> io::Result<()> {
        let too_large =
            |_| io::Error::new(io::ErrorKind::FileTooLarge, format!("{} in an initramfs", name.display()));
        let name = name.as_os_str().as_bytes();
        let size = u32::try_from(len).map_err(too_large)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
        self.inode += 1;
        self.out.write_all(b"070701")?;
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        for field in [self.inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0] {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        // The header has 110 bytes. The name and the data are each padded to a multiple of four.
        self.pad(110 + name.len() as u64 + 1)
    }

    /// Writes the padding after `len` bytes.
    fn pad(&mut self, len: u64) -> io::Result<()> {
        self.out.write_all(&[0; 4][..(len.wrapping_neg() % 4) as usize])
    }
}

#[cfg(test)]
#[path = "cpio_test.rs"]
mod tests;
