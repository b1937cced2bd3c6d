//! Items by their numbers, and the directory of files.

use std::{collections::BTreeMap, fmt, io};

use zerocopy::{
    Immutable, IntoBytes, Unaligned,
    big_endian::{U16, U32},
};

use crate::once::Once;

/// The first number of a file (`FW_CFG_FILE_FIRST`).
const FIRST_FILE: u16 = 0x20;
/// The number after the last. QEMU's machines have a few dozen files.
const END: u16 = FIRST_FILE + 256;
/// A bit of the selector with which older QEMUs allowed writes (`FW_CFG_WRITE_CHANNEL`).
const WRITE_CHANNEL: u16 = 0x4000;

/// Items with fixed numbers: those of QEMU's `standard-headers/linux/qemu_fw_cfg.h` that this machine may have. They are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Key {
    /// "QEMU".
    Signature = 0x00,
    /// The device's features.
    Id = 0x01,
    /// 1 if there is no display (two bytes).
    NoGraphic = 0x04,
    /// The number of vCPUs at the machine's start (two bytes). SeaBIOS waits until so many have answered.
    NbCpus = 0x05,
    /// The address of the protected-mode part of a Linux kernel.
    KernelAddr = 0x07,
    /// The length of [`Key::KernelData`].
    KernelSize = 0x08,
    /// The address of the initramfs.
    InitrdAddr = 0x0a,
    /// The length of [`Key::InitrdData`].
    InitrdSize = 0x0b,
    /// 1 if firmware should offer a boot menu (two bytes).
    BootMenu = 0x0e,
    /// The largest number of vCPUs (two bytes).
    MaxCpus = 0x0f,
    /// The protected-mode part of a Linux kernel.
    KernelData = 0x11,
    /// The initramfs.
    InitrdData = 0x12,
    /// The address of the command line.
    CmdlineAddr = 0x13,
    /// The length of [`Key::CmdlineData`].
    CmdlineSize = 0x14,
    /// The kernel's command line, with its NUL.
    CmdlineData = 0x15,
    /// The address of the real-mode part of a Linux kernel.
    SetupAddr = 0x16,
    /// The length of [`Key::SetupData`].
    SetupSize = 0x17,
    /// The real-mode part of a Linux kernel.
    SetupData = 0x18,
    /// The directory of files.
    FileDir = 0x19,
}

/// Reasons why a file can't be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The name does not fit into the directory, or contains a NUL.
    #[error("a file for firmware can't be called {0:?}: a name has 1 to 55 bytes, none of them NUL")]
    Name(String),
    /// A file with this name exists already.
    #[error("there are two files for firmware called {0}")]
    Twice(String),
    /// The file has 4 GiB or more.
    #[error("the file {0} for firmware is 4 GiB long or longer")]
    TooLong(String),
    /// All numbers are in use.
    #[error("there are too many files for firmware")]
    TooMany,
}

/// Fills a buffer with bytes from an offset on.
type ReadAt = dyn Fn(u64, &mut [u8]) -> io::Result<()> + Send;

/// The bytes of an item.
pub enum Content {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// Bytes that are made when the guest first selects the item, and kept until the device is dropped.
    Made {
        /// The length in the directory, since a guest may read that first. If fewer bytes are made, the rest reads as zeros; more are an
        /// error.
        len: u32,
        /// Makes the bytes. An error is logged, and the item reads as zeros.
        make: Box<dyn Fn() -> io::Result<Vec<u8>> + Send>,
    },
    /// Bytes that are read when the guest reads them, for example those of a file too large for nvmm's memory.
    Read {
        /// The number of bytes.
        len: u32,
        /// Fills a buffer with the bytes from an offset on, all of which exist. The first error is logged, and each sets the error bit of
        /// DMA.
        read: Box<ReadAt>,
    },
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Made { len, .. } => write!(f, "Made({len})"),
            Self::Read { len, .. } => write!(f, "Read({len})"),
        }
    }
}

/// All items.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: BTreeMap<u16, Content>,
    files: Vec<File>,
    /// Logged once, since the guest may read an item again and again.
    said_unreadable: Once,
}

/// `struct fw_cfg_file`: an entry of the directory.
#[derive(Clone, Copy, Debug, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct File {
    size: U32,
    select: U16,
    reserved: U16,
    name: [u8; 56],
}

impl Items {
    pub(super) fn set(&mut self, key: Key, content: Content) {
        self.items.insert(key as u16, content);
    }

    pub(super) fn add_file(&mut self, name: &str, content: Content) -> Result<(), FileError> {
        let file = File::new(name, &content)?;
        if self.files.iter().any(|other| other.name == file.name) {
            return Err(FileError::Twice(name.to_owned()));
        }
        let key = u16::try_from(self.files.len()).ok().and_then(|files| FIRST_FILE.checked_add(files));
        let key = key.filter(|&key| key < END).ok_or(FileError::TooMany)?;
        self.items.insert(key, content);
        self.files.push(File { select: key.into(), ..file });

        let count = U32::new((key - FIRST_FILE + 1).into());
        let directory = [count.as_bytes(), self.files.as_bytes()].concat();
        self.set(Key::FileDir, Content::Bytes(directory));
        Ok(())
    }

    /// The length of an item; 0 if there is no such item, or if it is not made yet.
    pub(super) fn len(&self, key: u16) -> u64 {
        match self.find(key) {
            Some(Content::Bytes(bytes)) => bytes.len() as u64,
            Some(&Content::Read { len, .. }) => len.into(),
            Some(Content::Made { .. }) | None => 0,
        }
    }

    /// Reads an item's bytes from `offset` on, all of which it has.
    pub(super) fn read(&self, key: u16, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        match self.find(key) {
            Some(Content::Bytes(all)) => {
                let from = usize::try_from(offset).ok().and_then(|offset| all.get(offset..));
                let found =
                    from.and_then(|rest| rest.get(..bytes.len())).ok_or(io::ErrorKind::InvalidInput)?;
                bytes.copy_from_slice(found);
                Ok(())
            }
            Some(Content::Read { read, .. }) if !bytes.is_empty() => {
                read(offset, bytes).inspect_err(|error| {
                    let name = self.name(key);
                    self.said_unreadable.error(format_args!(
                        "{name}, which the firmware asks for, can't be read: {error} (said once)"
                    ));
                })
            }
            _ => Ok(()),
        }
    }

    fn find(&self, key: u16) -> Option<&Content> {
        self.items.get(&(key & !WRITE_CHANNEL))
    }

    /// The name of an item, in words.
    fn name(&self, key: u16) -> String {
        let key = key & !WRITE_CHANNEL;
        let file = self.files.iter().find(|file| file.select.get() == key);
        file.map_or_else(|| format!("item {key:#x}"), File::name)
    }

    /// Makes an item's bytes, if they are made later and not made yet.
    pub(super) fn make(&mut self, key: u16) {
        let Some(content) = self.items.get_mut(&(key & !WRITE_CHANNEL)) else { return };
        let Content::Made { len, make } = content else { return };
        let made = make().and_then(|bytes| match u32::try_from(bytes.len()) {
            Ok(made) if made <= *len => Ok(bytes),
            _ => Err(io::Error::other(format!(
                "it is {} bytes long, and was to have at most {len}",
                bytes.len()
            ))),
        });
        let failed = made.as_ref().err().map(ToString::to_string);
        *content = Content::Bytes(made.unwrap_or_default());
        if let Some(error) = failed {
            log::error!("{}, which the firmware asks for, can't be made: {error}", self.name(key));
        }
    }
}

impl File {
    fn new(name: &str, content: &Content) -> Result<Self, FileError> {
        let size = match content {
            Content::Bytes(bytes) => {
                u32::try_from(bytes.len()).map_err(|_| FileError::TooLong(name.to_owned()))?
            }
            Content::Made { len, .. } | Content::Read { len, .. } => *len,
        };
        let mut file = Self { size: size.into(), select: 0.into(), reserved: 0.into(), name: [0; _] };
        // The name ends with a NUL.
        let last = file.name.len() - 1;
        if name.is_empty() || name.len() > last || name.contains('\0') {
            return Err(FileError::Name(name.to_owned()));
        }
        file.name[..name.len()].copy_from_slice(name.as_bytes());
        Ok(file)
    }

    fn name(&self) -> String {
        let name = self.name.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }
}
