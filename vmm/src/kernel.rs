//! Loading a kernel and what goes with it into guest memory.

mod bzimage;
mod elf;
mod error;
mod formats;
mod image;
mod initramfs;
mod source;
#[cfg(test)]
pub(crate) mod testing;

use std::{ops::Range, path::PathBuf};

use arch::{boot::Entry, layout, memory::GuestRam};
use linux_loader::loader::bootparam::setup_header;
use vm_memory::{Bytes, GuestAddress};

pub use self::{error::KernelError, image::ImageError};
use self::{image::Image, initramfs::Ram, source::Source};
use crate::{config::KernelConfig, size::Size};

/// The files of a kernel. They outlive the machine's resets: each boots from what was opened, whatever has its name by then.
#[derive(Debug)]
pub struct KernelFiles {
    kernel: Source,
    image: Image,
    initramfs: Option<Source>,
    cmdline: String,
}

/// A kernel in guest memory.
#[derive(Debug)]
pub struct Kernel {
    /// Where and how the first vCPU starts.
    pub entry: Entry,
    /// A bzImage's setup header.
    pub header: Option<setup_header>,
    /// Where the initramfs is.
    pub initramfs: Option<Range<u64>>,
}

impl KernelFiles {
    /// Opens the files, reads a pipe to its end, and looks at the kernel's headers, for a machine with that much memory.
    ///
    /// # Errors
    ///
    /// One of them can't be read, or is not what it should be.
    pub fn open(config: &KernelConfig, memory: Size) -> Result<Self, KernelError> {
        let KernelConfig { path, initramfs, cmdline } = config;
        let kernel = Source::open("--kernel", path, memory)?;
        let image = formats::read(&kernel)?;
        let open = |path: &PathBuf| Source::open("--initramfs", path, memory);
        let initramfs = initramfs.as_ref().map(open).transpose()?;
        match &initramfs {
            Some(file) if file.len() == 0 => Err(KernelError::EmptyInitramfs(file.path().to_owned())),
            _ => Ok(Self { kernel, image, initramfs, cmdline: cmdline.clone() }),
        }
    }

    /// Loads the kernel, the initramfs, and the command line into fresh memory.
    ///
    /// # Errors
    ///
    /// One of them can't be read any more, was changed, or does not fit.
    pub fn load(&self, memory: &GuestRam) -> Result<Kernel, KernelError> {
        let ram = Ram::of(memory);
        let Image { entry, header, ref segments, end, cmdline_max, .. } = self.image;
        if end > ram.low_end {
            let path = self.kernel.path().to_owned();
            return Err(KernelError::TooLarge { path, need: end, have: ram.low_end });
        }
        for segment in segments.iter().filter(|segment| segment.file_len > 0) {
            self.kernel.copy(segment.offset, segment.file_len, memory, segment.address)?;
        }
        self.kernel.check_unchanged()?;
        let initramfs = self.initramfs.as_ref().map(|file| {
            let place = self.place(file, &ram)?;
            file.copy(0, file.len(), memory, place.start)?;
            file.check_unchanged()?;
            Ok(place)
        });
        write_cmdline(memory, &self.cmdline, cmdline_max)?;
        Ok(Kernel { entry, header, initramfs: initramfs.transpose()? })
    }

    fn place(&self, initramfs: &Source, ram: &Ram) -> Result<Range<u64>, KernelError> {
        let (len, start, limit) = (initramfs.len(), self.image.end, self.image.initramfs);
        limit.place(len, start, ram).ok_or_else(|| {
            let path = initramfs.path().to_owned();
            match limit.memory_for(len, start) {
                Some(need) => KernelError::Initramfs { path, len, start, need },
                None => KernelError::InitramfsLimit { path, len, room: start..limit.end(), why: limit.why },
            }
        })
    }
}

fn write_cmdline(memory: &GuestRam, cmdline: &str, kernel_max: usize) -> Result<(), KernelError> {
    let max = kernel_max.min(layout::CMDLINE_MAX - 1);
    if cmdline.contains('\0') {
        return Err(KernelError::CmdlineNul);
    }
    if cmdline.len() > max {
        return Err(KernelError::Cmdline { len: cmdline.len(), max });
    }
    let mut text = cmdline.as_bytes().to_vec();
    text.push(0);
    // The smallest machine has more than 1 MiB, so this is memory.
    memory
        .write_slice(&text, GuestAddress(layout::CMDLINE))
        .map_err(|_| KernelError::Cmdline { len: cmdline.len(), max })
}

#[cfg(test)]
#[path = "kernel_test.rs"]
mod tests;
