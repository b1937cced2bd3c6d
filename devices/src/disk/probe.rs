//! Formats as qemu-img recognizes them by an image's first sector.
//!
//! The format that a file looks like matters beyond nvmm: sooner or later somebody gives it to qemu-img without a format. So the rules are
//! those of the `bdrv_probe` functions of QEMU's block drivers, and a test compares the two.

use std::path::Path;

use super::{format::Format, guard, vmdk::is_vmdk};
use crate::printable::ToPrintable;

/// The bytes that decide on a format: a sector.
pub(super) const SECTOR_LEN: usize = 512;

/// A format that is recognized by its first sector, or by the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// QEMU's first format, and its second.
    Qcow,
    /// QEMU's enhanced disk.
    Qed,
    /// VMware's.
    Vmdk,
    /// VirtualBox's.
    Vdi,
    /// Hyper-V's.
    Vhdx,
    /// Virtual PC's, also called VHD.
    Vpc,
    /// Parallels'.
    Parallels,
    /// Bochs's growing disk.
    Bochs,
    /// The compressed loop device's.
    Cloop,
    /// Apple's, recognized only by the file's name.
    Dmg,
    /// A disk encrypted by LUKS, version 1.
    Luks,
}

/// The first bytes of a cloop image.
const CLOOP: &[u8] =
    b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";

impl Looks {
    /// The format of a file that begins with `sector`; `None` if it is no known one.
    pub(super) fn of(sector: &[u8]) -> Option<Self> {
        let at = |offset: usize, bytes: &[u8]| sector.get(offset..).is_some_and(|it| it.starts_with(bytes));
        let is_parallels = at(0, b"WithoutFreeSpace") || at(0, b"WithouFreSpacExt");
        let is_bochs = at(0, b"Bochs Virtual HD Image\0") && at(32, b"Redolog\0") && at(48, b"Growing\0");
        match () {
            () if at(0, &guard::MAGIC) => Some(Self::Qcow),
            () if at(0, b"QED\0") => Some(Self::Qed),
            () if is_vmdk(sector) => Some(Self::Vmdk),
            () if at(64, &0xbeda_107f_u32.to_le_bytes()) => Some(Self::Vdi),
            () if at(0, b"vhdxfile") => Some(Self::Vhdx),
            () if at(0, b"conectix") => Some(Self::Vpc),
            () if is_parallels && at(16, &2_u32.to_le_bytes()) => Some(Self::Parallels),
            () if is_bochs && (at(64, &[0, 0, 2, 0]) || at(64, &[0, 0, 1, 0])) => Some(Self::Bochs),
            () if at(0, CLOOP) => Some(Self::Cloop),
            () if at(0, b"LUKS\xba\xbe\0\x01") => Some(Self::Luks),
            () => None,
        }
    }

    /// The format of files with such a name, whatever they contain.
    pub(super) fn named(path: &Path) -> Option<Self> {
        let name = path.as_os_str().as_encoded_bytes();
        (name.len() > 4 && name.ends_with(b".dmg")).then_some(Self::Dmg)
    }

    /// The format that a file's extension promises; raw disks have no such name.
    pub(super) fn promised(path: &Path) -> Option<Self> {
        match &*path.extension()?.to_str()?.to_ascii_lowercase() {
            "qcow" | "qcow2" => Some(Self::Qcow),
            "qed" => Some(Self::Qed),
            "vmdk" => Some(Self::Vmdk),
            "vdi" => Some(Self::Vdi),
            "vhdx" => Some(Self::Vhdx),
            "vhd" => Some(Self::Vpc),
            _ => None,
        }
    }

    /// The format to use for such a file, if nvmm reads it.
    pub(super) fn format(self) -> Option<Format> {
        match self {
            Self::Qcow => Some(Format::Qcow2),
            Self::Vmdk => Some(Format::Vmdk),
            _ => None,
        }
    }

    /// The reason why an image at `path` that looks like this can't be used, and what to do.
    pub(super) fn way_out(self, path: &Path) -> String {
        let (name, path) = (self.name(), path.printable());
        let looks = if self == Self::Dmg { "has the name of a" } else { "begins as a" };
        match self {
            Self::Luks => format!(
                "{looks} luks image, which nvmm doesn't open; with format=raw the guest can, by its own means"
            ),
            _ => format!(
                "{looks} {name} image, which nvmm doesn't read; qemu-img convert -f {name} -O qcow2 {path} NEW makes \
                 one that it does, and format=raw gives the guest the file's bytes as they are"
            ),
        }
    }

    /// QEMU's name for the format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Qcow => "qcow2",
            Self::Qed => "qed",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vhdx => "vhdx",
            Self::Vpc => "vpc",
            Self::Parallels => "parallels",
            Self::Bochs => "bochs",
            Self::Cloop => "cloop",
            Self::Dmg => "dmg",
            Self::Luks => "luks",
        }
    }
}

#[cfg(test)]
#[path = "probe_test.rs"]
mod tests;
