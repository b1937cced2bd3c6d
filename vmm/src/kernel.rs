//! Loads a kernel, its initramfs and its command line into guest memory.

mod bzimage;
mod elf;
mod error;
mod fitting;
mod formats;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod image;
mod initramfs;
mod passed;
mod source;
#[cfg(test)]
pub(crate) mod testing;

use std::ops::Range;

use arch::{boot::Entry, layout, memory::GuestRam};
use linux_loader::loader::bootparam::setup_header;
use vm_memory::{Bytes, GuestAddress};

pub use self::{error::KernelError, image::ImageError, passed::PassedKernel};
use self::{image::Image, initramfs::Ram, source::Source};
use crate::{config::KernelConfig, size::Size};

/// The files of a kernel. They outlive the machine's resets: each boots from the opened files, even if their names lead to others by then.
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
    /// The entry point of the first vCPU.
    pub entry: Entry,
    /// A bzImage's setup header.
    pub header: Option<setup_header>,
    /// The addresses of the initramfs.
    pub initramfs: Option<Range<u64>>,
}

impl KernelFiles {
    /// Opens the files, reads a pipe to its end, and checks the kernel's headers, for a machine with this much memory.
    ///
    /// # Errors
    ///
    /// A file can't be read, or is of the wrong kind.
    pub fn open(config: &KernelConfig, memory: Size) -> Result<Self, KernelError> {
        let KernelConfig { path, initramfs, cmdline } = config;
        let kernel = Source::open("--kernel", path, memory)?;
        let image = formats::read(&kernel)?;
        let initramfs = initramfs.as_deref().map(|path| fitting::open_initramfs(path, memory)).transpose()?;
        Ok(Self { kernel, image, initramfs, cmdline: cmdline.clone() })
    }

    /// Loads the kernel, the initramfs, and the command line into fresh memory.
    ///
    /// # Errors
    ///
    /// A file can't be read any more, has changed, or does not fit.
    pub fn load(&self, memory: &GuestRam) -> Result<Kernel, KernelError> {
        let ram = Ram::of(memory);
        let Image { entry, header, ref segments, end, cmdline_max, initramfs: ref limit } = self.image;
        fitting::check_fits(&self.kernel, end, &ram)?;
        for segment in segments.iter().filter(|segment| segment.file_len > 0) {
            self.kernel.copy(segment.offset, segment.file_len, memory, segment.address)?;
        }
        self.kernel.check_unchanged()?;
        let initramfs = self.initramfs.as_ref().map(|file| {
            let place = fitting::place(file, end, limit, &ram)?;
            file.copy(0, file.len(), memory, place.start)?;
            file.check_unchanged()?;
            Ok(place)
        });
        // The command line always fits into memory: the smallest machine has more than 1 MiB.
        let text = fitting::cmdline(&self.cmdline, cmdline_max)?;
        let written = memory.write_slice(&text, GuestAddress(layout::CMDLINE));
        written.map_err(|_| KernelError::Cmdline { len: self.cmdline.len(), max: cmdline_max })?;
        Ok(Kernel { entry, header, initramfs: initramfs.transpose()? })
    }
}

#[cfg(test)]
#[path = "kernel_test.rs"]
mod tests;
