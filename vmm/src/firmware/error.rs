//! Reasons why there is no firmware.

use std::{io, path::PathBuf};

use arch::layout;
use devices::{disk::image::OpenError, platform::flash::VarsError, printable::ToPrintable};

use super::kind::Kind;
use crate::{kernel::KernelError, size::Size};

/// Reasons why there is no firmware to start with.
#[derive(Debug, thiserror::Error)]
pub enum FirmwareError {
    /// The host has no firmware of this kind.
    #[error("there is no {kind} on this host, which {} needs; install it ({}), or give an image with --firmware PATH", kind.option(), kind.packages())]
    NotFound {
        /// The kind.
        kind: Kind,
    },
    /// The host has firmware of this kind, but none that nvmm can use.
    #[error("of the {kind} on this host, nvmm can use none: {why}; install another ({}), or give an image with --firmware PATH", kind.packages())]
    NoneFits {
        /// The kind.
        kind: Kind,
        /// The reasons, each with its file.
        why: String,
    },
    /// The host has no option ROM for the VGA.
    #[error(
        "there is no vgabios-stdvga.bin on this host, by which a BIOS draws on the screen of --display; install it (Debian: apt install seabios; Fedora: dnf install seavgabios-bin), or say --display none"
    )]
    NoVgaRom,
    /// A file that does not exist, or a word that is none of those for firmware.
    #[error("--firmware {}: no such file; give bios, uefi or the path of an image", .0.printable())]
    NoFile(PathBuf),
    /// A file that can't be read.
    #[error("firmware {}: can't be read", path.printable())]
    Read {
        /// The file.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// A qcow2 file that can't be read.
    #[error("firmware {}: can't be read", path.printable())]
    ReadImage {
        /// The file.
        path: PathBuf,
        /// The error.
        source: Box<OpenError>,
    },
    /// A file with which a machine of nvmm's can't start.
    #[error("firmware {}", path.printable())]
    Image {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: ImageError,
    },
    /// Firmware whose variables can't be separated from its code.
    #[error("vars= of --firmware: {}, which would start, has no store of variables in a file of its own that PATH could be made of; give a build that has, such as OVMF_CODE_4M.fd with OVMF_VARS_4M.fd, or its code with a PATH that is there", path.printable())]
    NoVariables {
        /// The file with the code.
        path: PathBuf,
    },
    /// The file can't be used for the variables.
    #[error("vars= of --firmware: {}", path.printable())]
    Variables {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: VarsError,
    },
    /// The host lacks the option ROM with which SeaBIOS loads a kernel.
    #[error(
        "--firmware with --kernel: SeaBIOS loads a kernel by QEMU's option ROM linuxboot_dma.bin, which this host does not have; install it (Debian: apt install qemu-system-data; Fedora: dnf install qemu-system-x86-core), or leave --firmware out: then nvmm loads the kernel"
    )]
    NoLoader,
    /// The file is no option ROM.
    #[error("--firmware with --kernel: the option ROM {}", path.printable())]
    Loader {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A kernel that firmware can't load.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A disk whose partitions can't be read.
    #[error("disk {name}: can't be read, to see how it starts; --firmware bios or uefi says so")]
    Disk {
        /// The disk.
        name: String,
        /// The host's error.
        source: io::Error,
    },
}

/// Reasons why a file is no firmware for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The image is too short, too long or not a whole number of pages.
    #[error("it has {0} bytes, and firmware comes in whole pages of 4 KiB, from {min} to {max}", min = Size(layout::FIRMWARE_MIN), max = Size(layout::FIRMWARE_MAX))]
    Len(u64),
    /// Another kind of file.
    #[error("{0}")]
    Other(&'static str),
    /// A Secure Boot build that needs System Management Mode.
    #[error(
        "it is a Secure Boot build that needs System Management Mode, which nvmm does not have; give a build without, such as OVMF_CODE_4M.fd"
    )]
    NeedsSmm,
    /// There is no instruction at the reset vector.
    #[error(
        "there is no code at its end, where the processor begins; if it is the store of variables (OVMF_VARS), give the code (OVMF_CODE)"
    )]
    NoCode,
}
