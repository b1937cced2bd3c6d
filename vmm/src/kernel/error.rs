//! Reasons why a guest's software can't be loaded.

use std::{io, ops::Range, path::PathBuf};

use arch::layout;

use super::image::ImageError;
use crate::size::Size;

/// Reasons why a guest's software can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file that can't be read.
    #[error("{option} {}: can't be read", path.display())]
    Read {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// A file that was changed after it was opened.
    #[error(
        "{option} {}: the file was overwritten since nvmm opened it, and the guest can't boot from what it held then; replace files by renaming others, and start nvmm again",
        path.display()
    )]
    Changed {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file that is no kernel, or not a complete one.
    #[error("--kernel {}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        source: ImageError,
    },
    /// The kernel, or its unpacked form, does not fit.
    #[error(
        "--kernel {}: needs memory up to {need:#x}, and the guest's ends at {have:#x}; {}",
        path.display(), more_memory(*need)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The end of the memory that the kernel needs while it unpacks itself.
        need: u64,
        /// The end of memory below 4 GiB.
        have: u64,
    },
    /// The initramfs is empty.
    #[error("--initramfs {}: the file is empty; leave the option out to boot without", .0.display())]
    EmptyInitramfs(PathBuf),
    /// The initramfs does not fit between the kernel and the end of memory.
    #[error(
        "--initramfs {}: {len} bytes do not fit above the kernel, which ends at {start:#x}; give --memory at least {}",
        path.display(), Size(need.next_multiple_of(MIB))
    )]
    Initramfs {
        /// The file.
        path: PathBuf,
        /// The length.
        len: u64,
        /// The end of the kernel.
        start: u64,
        /// The size of memory that would be enough.
        need: u64,
    },
    /// The initramfs does not fit below the kernel's limit.
    #[error(
        "--initramfs {}: {len} bytes do not fit above the kernel, which ends at {:#x}, and below {:#x}, where its initramfs has to end {why}; make it smaller",
        path.display(), room.start, room.end
    )]
    InitramfsLimit {
        /// The file.
        path: PathBuf,
        /// The length.
        len: u64,
        /// The addresses for it, if there were enough memory.
        room: Range<u64>,
        /// The reason for the limit.
        why: &'static str,
    },
    /// The command line is too long.
    #[error("--cmdline: {len} bytes, and this kernel takes at most {max}")]
    Cmdline {
        /// The length.
        len: usize,
        /// The longest command line that the kernel accepts.
        max: usize,
    },
    /// The command line contains a NUL, which would end it.
    #[error("--cmdline: there is a NUL byte in it")]
    CmdlineNul,
}

const MIB: u64 = 1 << 20;

/// Advice for a kernel that needs memory up to the address `need`.
fn more_memory(need: u64) -> String {
    if need <= layout::PCI_MMIO {
        format!("give --memory at least {}", Size(need.next_multiple_of(MIB)))
    } else {
        format!("no amount will do, for a kernel has to end below {:#x}", layout::PCI_MMIO)
    }
}
