//! The file with the UEFI variables: the bytes of the chip and nothing else, as in QEMU.
//!
//! The file itself is never written to. New contents go to a file next to it, `.NAME.new`, which replaces it once all is on the disk. So if
//! nvmm is killed or the host loses power at any time, the file has the complete contents of the chip from one moment. A `.NAME.new` that
//! is left behind is never read; the next start or write overwrites it.
//!
//! Each file is locked before it gets the name, so that the name always leads to a locked file. A process that gets a lock checks that the
//! name still leads to the same file. The locks are those for disks, which QEMU honours too.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags};
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use crate::{
    disk::{LockedFile, lock_or_blame, unlock},
    root,
};

/// The longest file to read: OVMF's have 128 or 528 KiB.
const MOST: u64 = 64 << 20;

/// Reasons why a file of variables can't be used.
#[derive(Debug, thiserror::Error)]
pub enum VarsError {
    /// The file can't be opened, read or locked.
    #[error("can't open it")]
    Open(#[source] io::Error),
    /// The path is that of a folder, a device or the like.
    #[error("it is no file")]
    NotAFile,
    /// Another machine uses the file.
    #[error("it is in use by {0}; give each machine a file of its own")]
    InUse(String),
    /// The file doesn't exist, and can't be made.
    #[error("it is not there, and can't be made")]
    Create(#[source] io::Error),
    /// The file can't be replaced.
    #[error(
        "no file can be made beside it, and nvmm makes one whenever variables change, which then takes its place; give a file in a folder that can be written to"
    )]
    Folder(#[source] io::Error),
    /// The file is out of reach once the machine runs.
    #[error("it is not below --chroot, so that no change could be saved; give a file there")]
    OutOfReach,
    /// The file's length is not that of the firmware's variables.
    #[error(
        "it has {found} bytes, and this firmware's variables have {expected}: it is another firmware's, or not whole"
    )]
    Length {
        /// The length.
        found: u64,
        /// The expected length.
        expected: u64,
    },
    /// The file holds something else.
    #[error("it has no UEFI variables: {0}")]
    Header(&'static str),
}

/// A file of variables, locked.
#[derive(Debug)]
pub struct VarsFile {
    /// The path, with symbolic links resolved, so that they stay as they are.
    path: PathBuf,
    file: LockedFile,
}

/// UEFI PI, "Firmware Volume Header", with which the variables begin.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct VolumeHeader {
    zeros: [u8; 16],
    file_system: [u8; 16],
    len: U64,
    signature: [u8; 4],
    attributes: U32,
    header_len: U16,
    checksum: U16,
}

/// `EFI_SYSTEM_NV_DATA_FV_GUID`: FFF12B8D-7696-4C8B-A985-2747075B4F50.
const NV_DATA: [u8; 16] =
    [0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50];

impl VarsFile {
    /// Opens, locks and reads a file. If it doesn't exist, it is made as a copy of `template`, which has the length of variables; without a
    /// template, it must exist.
    ///
    /// # Errors
    ///
    /// The file is in use, does not hold variables of this length, or can't be used or made.
    pub fn open(path: &Path, template: Option<&[u8]>) -> Result<(Self, Vec<u8>), VarsError> {
        loop {
            let file = match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => LockedFile::from(file),
                Err(error) => match template {
                    Some(template) if error.kind() == io::ErrorKind::NotFound => {
                        match Self::create(path, template)? {
                            Some(created) => return Ok(created),
                            None => continue,
                        }
                    }
                    _ => return Err(VarsError::Open(error)),
                },
            };
            if !file.metadata().map_err(VarsError::Open)?.is_file() {
                return Err(VarsError::NotAFile);
            }
            lock(&file)?;
            let path = fs::canonicalize(path).map_err(VarsError::Open)?;
            // Its user may have replaced it in the meantime, and ended.
            if !leads_to(&path, &file).map_err(VarsError::Open)? {
                continue;
            }
            let bytes = read(&file, template.map(|template| template.len() as u64))?;
            return Ok((Self { path, file }, bytes));
        }
    }

    /// Makes a copy of `template`; none if there is a file by now.
    fn create(path: &Path, template: &[u8]) -> Result<Option<(Self, Vec<u8>)>, VarsError> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename);
        let path = name.map_err(io::Error::from).and_then(|name| Ok(fs::canonicalize(folder)?.join(name)));
        let path = path.map_err(VarsError::Create)?;
        let file = write_beside(&path, template, None).map_err(VarsError::Create)?;
        if let Err(error) = rustix::fs::renameat_with(CWD, beside(&path), CWD, &path, RenameFlags::NOREPLACE)
        {
            let _ = fs::remove_file(beside(&path));
            return match error {
                rustix::io::Errno::EXIST if fs::metadata(&path).is_ok() => Ok(None),
                rustix::io::Errno::EXIST => {
                    Err(VarsError::Create(io::Error::other("it is a symbolic link to nothing")))
                }
                error => Err(VarsError::Create(error.into())),
            };
        }
        sync_folder(&path).map_err(VarsError::Create)?;
        Ok(Some((Self { path, file }, template.to_vec())))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that a file can be made next to it, also after the root directory has changed.
    ///
    /// # Errors
    ///
    /// The folder takes no new files or will be out of reach, so that no change could be saved.
    pub fn check_folder(&self) -> Result<(), VarsError> {
        if !root::stays(&self.path) {
            return Err(VarsError::OutOfReach);
        }
        let made = open_beside(&self.path).and_then(|_locked| fs::remove_file(beside(&self.path)));
        made.map_err(VarsError::Folder)
    }

    /// Lets other processes use the file.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn unlock(&self) -> io::Result<()> {
        unlock(&self.file)
    }

    /// Locks the file again, or returns who uses it.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn lock_again(&self) -> io::Result<Option<String>> {
        if let Some(holder) = lock_or_blame(&self.file, true)? {
            return Ok(Some(holder));
        }
        let path = root::path_now(&self.path).ok_or(io::ErrorKind::NotFound)?;
        if leads_to(&path, &self.file)? {
            return Ok(None);
        }
        unlock(&self.file)?;
        Ok(Some("a program that has replaced it".to_owned()))
    }

    /// Replaces the file's contents. When this returns, they are on the disk.
    ///
    /// # Errors
    ///
    /// The host can't write, sync or rename the file, or the name leads to another file now. Then the file is unchanged.
    pub fn replace(&mut self, contents: &[u8]) -> io::Result<()> {
        let path = root::path_now(&self.path).ok_or(io::ErrorKind::NotFound)?;
        // If the file was removed, it is made again.
        if path.symlink_metadata().is_ok() && !leads_to(&path, &self.file)? {
            return Err(io::Error::other("another file has its name now"));
        }
        let file = write_beside(&path, contents, Some(&self.file))?;
        fs::rename(beside(&path), &path)?;
        // The old file, which is dropped here, takes its lock with it.
        self.file = file;
        sync_folder(&path)
    }
}

/// Writes a new file next to `path` to the disk. It is locked, and has the owner and permissions of `old`.
fn write_beside(path: &Path, contents: &[u8], old: Option<&File>) -> io::Result<LockedFile> {
    let file = open_beside(path)?;
    if let Some(old) = old {
        let (old, new) = (old.metadata()?, file.metadata()?);
        file.set_permissions(old.permissions())?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // chown fails without the privilege to give files away.
            let _ = fchown(&*file, Some(old.uid()), Some(old.gid()));
        }
    }
    file.set_len(0)?;
    (&*file).write_all(contents)?;
    file.sync_all()?;
    Ok(file)
}

/// Opens and locks the file next to `path`, or makes it.
fn open_beside(path: &Path) -> io::Result<LockedFile> {
    let beside = beside(path);
    loop {
        // Don't truncate it yet: another process may be using it.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // With a symbolic link, the file that it leads to would be overwritten.
        let file = LockedFile::from(options.custom_flags(libc::O_NOFOLLOW).open(&beside)?);
        lock(&file).map_err(io::Error::other)?;
        if leads_to(&beside, &file)? {
            return Ok(file);
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn lock(file: &File) -> Result<(), VarsError> {
    match lock_or_blame(file, true).map_err(VarsError::Open)? {
        Some(holder) => Err(VarsError::InUse(holder)),
        None => Ok(()),
    }
}

/// Returns whether the name `path` leads to `file` now.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a folder's renamed entries to the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Reads a file of variables, which has `len` bytes if that is known.
fn read(mut file: &File, len: Option<u64>) -> Result<Vec<u8>, VarsError> {
    file.rewind().map_err(VarsError::Open)?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).map_err(VarsError::Open)?;
    let found = bytes.len() as u64;
    if let Some(expected) = len.filter(|len| *len != found) {
        return Err(VarsError::Length { found, expected });
    }
    check(&bytes).map_err(VarsError::Header)?;
    Ok(bytes)
}

/// Returns whether firmware begins with its variables, so that they have no file of their own.
#[must_use]
pub fn begins_with_variables(firmware: &[u8]) -> bool {
    VolumeHeader::read_from_prefix(firmware)
        .is_ok_and(|(header, _)| header.signature == *b"_FVH" && header.file_system == NV_DATA)
}

/// Checks the header with which variables begin. Firmware takes a broken one for a new chip, and erases all variables.
///
/// # Errors
///
/// A description of the fault.
pub fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let (header, _) = VolumeHeader::read_from_prefix(bytes).map_err(|_| "it is too short")?;
    if header.signature != *b"_FVH" || header.zeros != [0; 16] {
        return Err("it does not begin with a firmware volume");
    }
    if header.file_system != NV_DATA {
        return Err("the firmware volume in it is for something else, such as code");
    }
    if header.len.get() != bytes.len() as u64 {
        return Err("the firmware volume in it has another length");
    }
    let words = bytes.get(..header.header_len.get().into()).ok_or("its header goes past its end")?;
    let sum = words.chunks(2).fold(0_u16, |sum, word| {
        sum.wrapping_add(u16::from(word[0]) | u16::from(word.get(1).copied().unwrap_or_default()) << 8)
    });
    if sum == 0 { Ok(()) } else { Err("the checksum of its header is wrong") }
}

#[cfg(test)]
#[path = "file_test.rs"]
mod tests;
