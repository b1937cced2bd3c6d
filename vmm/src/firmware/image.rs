//! Reads an image of firmware, and checks that it is one.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use arch::layout;
use devices::disk::{
    Disk,
    format::Format,
    image::{self, OpenOptions},
};
use vm_memory::VolatileSlice;

use super::{
    error::{FirmwareError, ImageError},
    kind::Kind,
};

const PAGE: u64 = layout::PAGE;
const PAGE_LEN: usize = 4 << 10;
/// The distance from the first instruction to the end.
const RESET_VECTOR: usize = 16;
/// UEFI Platform Initialization Specification, "EFI_FIRMWARE_VOLUME_HEADER": the signature, with its offset in the first page of a volume.
const VOLUME: &[u8] = b"_FVH";
const VOLUME_AT: usize = 0x28;

/// Other kinds of files, by their first bytes.
const OTHERS: [(&[u8], &str); 3] = [
    (b"\x7fELF", "it is an ELF file, which --kernel may take"),
    (b"MZ", "it is a Windows or EFI program, or a kernel, which --kernel may take"),
    (
        b"\x55\xaa",
        "it is an option ROM, as devices have them; give the machine's firmware, such as SeaBIOS's bios-256k.bin",
    ),
];
/// Firmware for other machines, by the names of its files.
const OTHER_MACHINES: [(&str, &str); 2] = [
    (
        "bios-microvm.bin",
        "it is a SeaBIOS for QEMU's microvm, which has no PCI host bridge; give bios-256k.bin",
    ),
    ("qboot.rom", "it is qboot, which starts no disks; give the kernel with --kernel alone"),
];

/// The files of firmware, whose bytes are placed one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The code.
    pub(super) code: PathBuf,
    /// The variables, which come before it.
    pub(super) variables: Option<PathBuf>,
}

/// Loaded firmware.
#[derive(Debug)]
pub(super) struct Image {
    /// All of its bytes.
    pub(super) bytes: Vec<u8>,
    /// The number of bytes of variables at its beginning, if they have a file of their own.
    pub(super) variables: usize,
    /// The kind.
    pub(super) kind: Kind,
}

/// Reads the files, and checks that they are firmware.
pub(super) fn read(files: &Files) -> Result<Image, FirmwareError> {
    let image = |source| FirmwareError::Image { path: files.code.clone(), source };
    check_name(&files.code).map_err(image)?;
    let mut bytes = files.variables.as_deref().map(bytes_of).transpose()?.unwrap_or_default();
    let variables = bytes.len();
    bytes.extend(bytes_of(&files.code)?);
    let kind = kind(&bytes).map_err(image)?;
    Ok(Image { bytes, variables, kind })
}

/// Refuses firmware whose name shows that it is for another machine.
pub(super) fn check_name(path: &Path) -> Result<(), ImageError> {
    // A link's name may tell less: Debian's OVMF_CODE_4M.ms.fd is a link to a build whose own name says secboot.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for path in [path, &target] {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains("secboot") {
            return Err(ImageError::NeedsSmm);
        }
        if let Some((_, why)) = OTHER_MACHINES.iter().find(|(other, _)| *other == name) {
            return Err(ImageError::Other(why));
        }
    }
    Ok(())
}

/// The kind of firmware in `bytes`.
fn kind(bytes: &[u8]) -> Result<Kind, ImageError> {
    if let Some((_, why)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(ImageError::Other(why));
    }
    check_len(bytes.len() as u64)?;
    let reset_vector = &bytes[bytes.len() - RESET_VECTOR..];
    if reset_vector.iter().all(|byte| *byte == reset_vector[0]) {
        return Err(ImageError::NoCode);
    }
    let mut pages = bytes.chunks(PAGE_LEN);
    let is_uefi = pages.any(|page| page[VOLUME_AT..].starts_with(VOLUME));
    Ok(if is_uefi { Kind::Uefi } else { Kind::Bios })
}

/// Refuses a length that is impossible for firmware.
pub(super) fn check_len(len: u64) -> Result<(), ImageError> {
    let can_be = (layout::FIRMWARE_MIN..=layout::FIRMWARE_MAX).contains(&len) && len.is_multiple_of(PAGE);
    if can_be { Ok(()) } else { Err(ImageError::Len(len)) }
}

/// The bytes of a file, which is raw or, as in Fedora, qcow2.
fn bytes_of(path: &Path) -> Result<Vec<u8>, FirmwareError> {
    let unreadable = |source| FirmwareError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // Read one byte more than the limit, to find that it is too long; a device may be endless.
    let read = File::open(path).and_then(|file| file.take(layout::FIRMWARE_MAX + 1).read_to_end(&mut bytes));
    read.map_err(unreadable)?;
    if !bytes.starts_with(b"QFI\xfb") {
        return Ok(bytes);
    }
    let mut options = OpenOptions { format: Some(Format::Qcow2), ..OpenOptions::default() };
    options.disk.read_only = true;
    let opened = image::open(path, &options);
    let opened =
        opened.map_err(|source| FirmwareError::ReadImage { path: path.to_owned(), source: source.into() })?;
    content(&*opened.disk).map_err(unreadable)
}

/// All bytes of a disk; if there are too many, a part that exceeds the limit.
fn content(disk: &dyn Disk) -> io::Result<Vec<u8>> {
    let len = usize::try_from(disk.size().min(layout::FIRMWARE_MAX + PAGE)).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    disk.read_at(&[VolatileSlice::from(&mut bytes[..])], 0)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "image_test.rs"]
mod tests;
