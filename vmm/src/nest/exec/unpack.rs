//! Unpacks an archive of files at a running level, where the kernel no longer does it.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::tree::is_mounted;

/// The length of an entry's header: a magic number of six characters, and thirteen numbers of eight hexadecimal digits.
const HEADER: usize = 110;
const MAGIC: &[u8] = b"070701";
/// The name of the last entry.
const TRAILER: &str = "TRAILER!!!";
/// The longest path, with its NUL.
const LONGEST: u32 = 4096;

/// Unpacks an archive like Linux unpacks an initramfs: existing files are replaced. Linux, "initramfs buffer format".
///
/// # Errors
///
/// The data is no such archive, or a file can't be made.
pub(in crate::nest) fn unpack(mut archive: impl Read, root: &Path) -> anyhow::Result<()> {
    loop {
        let mut header = [0; HEADER];
        archive.read_exact(&mut header).context("reading the archive")?;
        let [mode, len, major, minor, name_len] = [1, 6, 9, 10, 11].map(|field| number(&header, field));
        let (Some(mode), Some(len), Some(major), Some(minor), Some(name_len @ 1..=LONGEST)) =
            (mode, len, major, minor, name_len)
        else {
            bail!("the archive is damaged");
        };
        let mut name = vec![0; name_len as usize];
        archive.read_exact(&mut name)?;
        skip(&mut archive, HEADER as u64 + u64::from(name_len))?;
        name.pop();
        let name = PathBuf::from(std::ffi::OsString::from_vec(name));
        if name == Path::new(TRAILER) {
            return Ok(());
        }
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            bail!("the archive has a file called {}", name.display());
        }
        let path = root.join(&name);
        make(&name, &path, mode, [major, minor], &mut archive.by_ref().take(len.into()))
            .with_context(|| format!("making {}", path.display()))?;
        skip(&mut archive, len.into())?;
    }
}

/// Makes a file.
fn make(
    name: &Path,
    path: &Path,
    mode: u32,
    [major, minor]: [u32; 2],
    data: &mut impl Read,
) -> io::Result<()> {
    let permissions = Permissions::from_mode(mode & 0o7777);
    let kind = FileType::from_raw_mode(mode);
    if kind == FileType::Directory {
        fs::create_dir_all(path)?;
        // The directory below a mounted file system of the kernel is hidden.
        return if is_mounted(name) { Ok(()) } else { fs::set_permissions(path, permissions) };
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match kind {
        FileType::RegularFile => {
            io::copy(data, &mut File::create(path)?)?;
        }
        FileType::Symlink => {
            let mut target = Vec::new();
            data.read_to_end(&mut target)?;
            return symlink(PathBuf::from(std::ffi::OsString::from_vec(target)), path);
        }
        _ => mknodat(CWD, path, kind, Mode::from_raw_mode(mode), makedev(major, minor))?,
    }
    fs::set_permissions(path, permissions)
}

/// Parses a number in an entry's header.
fn number(header: &[u8; HEADER], field: usize) -> Option<u32> {
    let digits = header.strip_prefix(MAGIC)?.chunks(8).nth(field)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Skips the padding after `len` bytes, up to a multiple of four.
fn skip(archive: &mut impl Read, len: u64) -> io::Result<()> {
    let mut rest = [0; 4];
    archive.read_exact(&mut rest[..(len.wrapping_neg() % 4) as usize])
}

#[cfg(test)]
#[path = "unpack_test.rs"]
mod tests;
