//! A kernel that firmware loads, with the option ROM that SeaBIOS needs for that.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{error::FirmwareError, kind::Kind};
use crate::kernel::PassedKernel;

/// The name of the option ROM among firmware's files. SeaBIOS runs all files that begin like this.
pub(super) const FILE: &str = "genroms/linuxboot_dma.bin";
/// The OpenFirmware path.
pub(super) const PATH: &str = "/rom@genroms/linuxboot_dma.bin";

/// The places where distributions install QEMU's option ROM.
const ROMS: [&str; 2] = ["usr/share/qemu/linuxboot_dma.bin", "usr/share/qemu-kvm/linuxboot_dma.bin"];

/// The first bytes of an option ROM, and the size of the blocks that its third byte counts.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
const BLOCK: usize = 512;
/// The largest length that the third byte can express.
const LEN_MAX: usize = BLOCK * 255;

/// A kernel that firmware loads.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(super) kernel: PassedKernel,
    /// The option ROM; none for UEFI, which has a loader of its own.
    pub(super) rom: Option<Vec<u8>>,
}

impl Loaded {
    /// A kernel for firmware of this kind. The host's option ROM is looked for below `root`.
    pub(super) fn new(kernel: PassedKernel, kind: Kind, root: &Path) -> Result<Self, FirmwareError> {
        let rom = match kind {
            Kind::Bios => Some(rom(root)?),
            Kind::Uefi => None,
        };
        Ok(Self { kernel, rom })
    }

    /// The kernel's file.
    pub(crate) fn path(&self) -> &Path {
        self.kernel.path()
    }
}

fn rom(root: &Path) -> Result<Vec<u8>, FirmwareError> {
    let path = ROMS.iter().map(|path| root.join(path)).find(|path| path.exists());
    let path = path.ok_or(FirmwareError::NoLoader)?;
    read(&path).map_err(|source| FirmwareError::Loader { path, source })
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LEN_MAX as u64 + 1).read_to_end(&mut bytes)?;
    let len = bytes.get(2).map_or(0, |blocks| usize::from(*blocks) * BLOCK);
    if !bytes.starts_with(&SIGNATURE) || len == 0 || bytes.len() < len {
        return Err(io::Error::other("it is no option ROM, or not a whole one"));
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "loader_test.rs"]
mod tests;
