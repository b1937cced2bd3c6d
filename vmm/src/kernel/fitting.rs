//! Places the initramfs, prepares the command line, and checks that there is enough memory.

use std::{ops::Range, path::Path};

use arch::layout;

use super::{
    error::KernelError,
    initramfs::{Limit, Ram},
    source::Source,
};
use crate::size::Size;

/// Opens an initramfs, and refuses an empty one.
pub(super) fn open_initramfs(path: &Path, memory: Size) -> Result<Source, KernelError> {
    let file = Source::open("--initramfs", path, memory)?;
    if file.len() == 0 { Err(KernelError::EmptyInitramfs(path.to_owned())) } else { Ok(file) }
}

/// The addresses for an initramfs above a kernel that ends at `start`.
pub(super) fn place(
    initramfs: &Source,
    start: u64,
    limit: &Limit,
    ram: &Ram,
) -> Result<Range<u64>, KernelError> {
    let len = initramfs.len();
    limit.place(len, start, ram).ok_or_else(|| {
        let path = initramfs.path().to_owned();
        match limit.memory_for(len, start) {
            Some(need) => KernelError::Initramfs { path, len, start, need },
            None => KernelError::InitramfsLimit { path, len, room: start..limit.end(), why: limit.why },
        }
    })
}

/// The command line in the kernel's form, with its NUL.
pub(super) fn cmdline(text: &str, kernel_max: usize) -> Result<Vec<u8>, KernelError> {
    let max = kernel_max.min(layout::CMDLINE_MAX - 1);
    if text.contains('\0') {
        return Err(KernelError::CmdlineNul);
    }
    if text.len() > max {
        return Err(KernelError::Cmdline { len: text.len(), max });
    }
    Ok([text.as_bytes(), &[0]].concat())
}

/// Refuses a kernel that needs more memory than there is.
pub(super) fn check_fits(kernel: &Source, end: u64, ram: &Ram) -> Result<(), KernelError> {
    if end <= ram.low_end {
        return Ok(());
    }
    Err(KernelError::TooLarge { path: kernel.path().to_owned(), need: end, have: ram.low_end })
}
