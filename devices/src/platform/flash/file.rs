//! The file that UEFI variables are in, the bytes of the chip and nothing else, as QEMU has it.
//!
//! It is never written to. New contents go to a file beside it, `.NAME.new`, which takes its place once all of it is on the disk: so
//! whenever nvmm is killed or the host loses power, the file has all of what the chip held at one moment, and none of any other. A
//! `.NAME.new` that such an end leaves behind is never read, and the next start or write uses it anew.
//!
//! Each file is locked before it gets the name, so that the name always leads to one that is locked, and whoever gets a lock looks whether
//! the name still leads to it. The locks are those of disks, which QEMU honours too.

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
    disk::{lock_or_blame, unlock},
    root,
};

/// The longest file that is read: OVMF's have 128 or 528 KiB.
const MOST: u64 = 64 << 20;

/// Why there is no file of variables.
#[derive(Debug, thiserror::Error)]
pub enum VarsError {
    /// It can't be opened, read or locked.
    #[error("can't open it")]
    Open(#[source] io::Error),
    /// It is a folder, a device or the like.
    #[error("it is no file")]
    NotAFile,
    /// Another machine has it.
    #[error("it is in use by {0}; give each machine a file of its own")]
    InUse(String),
    /// It is not there, and can't be made.
    #[error("it is not there, and can't be made")]
    Create(#[source] io::Error),
    /// The file can't be replaced.
    #[error(
        "no file can be made beside it, and nvmm makes one whenever variables change, which then takes its place; give a file in a folder that can be written to"
    )]
    Folder(#[source] io::Error),
    /// The file can't be reached once the machine runs.
    #[error("it is not below --chroot, so that no change could be saved; give a file there")]
    OutOfReach,
    /// It is not as long as the firmware's variables are.
    #[error(
        "it has {found} bytes, and this firmware's variables have {expected}: it is another firmware's, or not whole"
    )]
    Length {
        /// Its length.
        found: u64,
        /// The length that it should have.
        expected: u64,
    },
    /// It holds something else.
    #[error("it has no UEFI variables: {0}")]
    Header(&'static str),
}

/// A file of variables, locked.
#[derive(Debug)]
pub struct VarsFile {
    /// Without symbolic links, which stay what they are.
    path: PathBuf,
    file: File,
}

/// UEFI PI, "Firmware Volume Header", which the variables begin with.
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
    /// Opens and locks a file, and reads it. One that is not there is made as a copy of `template`, which is as long as variables are to be;
    /// without a template, it has to be there.
    ///
    /// # Errors
    ///
    /// It is in use, does not hold variables of this length, or can't be used or made.
    pub fn open(path: &Path, template: Option<&[u8]>) -> Result<(Self, Vec<u8>), VarsError> {
        loop {
            let mut file = match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => file,
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
            // Its user may have replaced it meanwhile, and gone.
            if !leads_to(&path, &file).map_err(VarsError::Open)? {
                continue;
            }
            let bytes = read(&mut file, template.map(|template| template.len() as u64))?;
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

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that a file can be made beside it, also once there is another root directory.
    ///
    /// # Errors
    ///
    /// The folder takes no new file or will be out of reach, so that no change could be saved.
    pub fn check_folder(&self) -> Result<(), VarsError> {
        if !root::stays(&self.path) {
            return Err(VarsError::OutOfReach);
        }
        let made = open_beside(&self.path).and_then(|_locked| fs::remove_file(beside(&self.path)));
        made.map_err(VarsError::Folder)
    }

    /// Lets others use the file.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn unlock(&self) -> io::Result<()> {
        unlock(&self.file)
    }

    /// Locks it again, or returns who is in the way.
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

    /// Replaces all of it. Once this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// The host can't write, sync or rename it, or another file has its name by now. Then it is as it was.
    pub fn replace(&mut self, contents: &[u8]) -> io::Result<()> {
        let path = root::path_now(&self.path).ok_or(io::ErrorKind::NotFound)?;
        // One that was removed is made again.
        if path.symlink_metadata().is_ok() && !leads_to(&path, &self.file)? {
            return Err(io::Error::other("another file has its name now"));
        }
        let file = write_beside(&path, contents, Some(&self.file))?;
        fs::rename(beside(&path), &path)?;
        // The lock of the file of before goes with it.
        self.file = file;
        sync_folder(&path)
    }
}

/// Writes a new file beside `path`, to the disk, locked, and with owner and permissions of `old`.
fn write_beside(path: &Path, contents: &[u8], old: Option<&File>) -> io::Result<File> {
    let file = open_beside(path)?;
    if let Some(old) = old {
        let (old, new) = (old.metadata()?, file.metadata()?);
        file.set_permissions(old.permissions())?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // Not everybody may give files away.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        }
    }
    file.set_len(0)?;
    (&file).write_all(contents)?;
    file.sync_all()?;
    Ok(file)
}

/// Opens and locks the file beside `path`, or makes it.
fn open_beside(path: &Path) -> io::Result<File> {
    let beside = beside(path);
    loop {
        // It is not emptied yet: somebody else may be at it.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // A symbolic link would have the file that it leads to overwritten.
        let file = options.custom_flags(libc::O_NOFOLLOW).open(&beside)?;
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

/// Tells if the name `path` leads to `file` now.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Has a folder keep what was renamed in it.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Reads a file that is to hold variables, `len` bytes of them if that is known.
fn read(file: &mut File, len: Option<u64>) -> Result<Vec<u8>, VarsError> {
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

/// Tells if firmware begins with its variables, so that they have no file of their own.
#[must_use]
pub fn begins_with_variables(firmware: &[u8]) -> bool {
    VolumeHeader::read_from_prefix(firmware)
        .is_ok_and(|(header, _)| header.signature == *b"_FVH" && header.file_system == NV_DATA)
}

/// Checks the header that variables begin with, since firmware takes one that is broken for a chip that is new, and erases all variables.
///
/// # Errors
///
/// The difference, in words.
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
