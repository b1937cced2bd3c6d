//! Loading a kernel and what goes with it into guest memory.

mod bzimage;
mod elf;
mod image;
mod initramfs;
mod source;
#[cfg(test)]
mod testing;

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use arch::{boot::Entry, layout, memory::GuestRam};
use linux_loader::loader::bootparam::setup_header;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

pub use self::image::ImageError;
use self::{image::Image, source::Source};
use crate::size::Size;

/// Why a guest's software can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file that can't be read.
    #[error("{option} {}: can't be read", path.display())]
    Read {
        /// The option it was given with.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that was overwritten.
    #[error(
        "{option} {}: the file was overwritten since nvmm opened it, and the guest can't boot from what it held then; replace files by renaming others, and start nvmm again",
        path.display()
    )]
    Changed {
        /// The option it was given with.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Not a kernel, or not a whole one.
    #[error("--kernel {}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
    /// The kernel, or what it unpacks itself to, does not fit.
    #[error(
        "--kernel {}: needs memory up to {need:#x}, and the guest's ends at {have:#x}; {}",
        path.display(), more_memory(*need)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Where the kernel ends while it unpacks itself.
        need: u64,
        /// Where memory below 4 GiB ends.
        have: u64,
    },
    /// An initramfs without anything in it.
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
        /// Its length.
        len: u64,
        /// Where the kernel ends.
        start: u64,
        /// How much memory would do.
        need: u64,
    },
    /// The initramfs does not fit where the kernel takes it.
    #[error(
        "--initramfs {}: {len} bytes do not fit above the kernel, which ends at {:#x}, and below {:#x}, where its initramfs has to end {why}; make it smaller",
        path.display(), room.start, room.end
    )]
    InitramfsLimit {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// The place for it, with memory to spare.
        room: Range<u64>,
        /// Who says so.
        why: &'static str,
    },
    /// The command line is too long.
    #[error("--cmdline: {len} bytes, and this kernel takes at most {max}")]
    Cmdline {
        /// Its length.
        len: usize,
        /// What the kernel says it can take.
        max: usize,
    },
    /// A NUL ends the command line early.
    #[error("--cmdline: there is a NUL byte in it")]
    CmdlineNul,
}

const MIB: u64 = 1 << 20;

/// Advice for a kernel that needs memory up to `need`.
fn more_memory(need: u64) -> String {
    if need <= layout::PCI_MMIO {
        format!("give --memory at least {}", Size(need.next_multiple_of(MIB)))
    } else {
        format!("no amount will do, for a kernel has to end below {:#x}", layout::PCI_MMIO)
    }
}

/// The files that a machine boots from. They outlive its resets: each boots from what was opened, whatever has its name by then.
#[derive(Debug)]
pub struct Payload {
    kernel: Source,
    image: Image,
    initramfs: Option<Source>,
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

/// A guest's memory, by its addresses.
#[derive(Debug, Default)]
struct Ram {
    /// The end of what begins at 0.
    low_end: u64,
    /// The rest, above 4 GiB.
    high: Range<u64>,
}

impl Payload {
    /// Opens the files, reads a pipe to its end, and looks at the kernel's headers, for a machine with that much memory.
    ///
    /// # Errors
    ///
    /// One of them can't be read, or is not what it should be.
    pub fn open(kernel: &Path, initramfs: Option<&Path>, memory: Size) -> Result<Self, KernelError> {
        let kernel = Source::open("--kernel", kernel, memory)?;
        let image = Image::read(&kernel)?;
        let initramfs = initramfs.map(|path| Source::open("--initramfs", path, memory)).transpose()?;
        match &initramfs {
            Some(file) if file.len() == 0 => Err(KernelError::EmptyInitramfs(file.path().to_owned())),
            _ => Ok(Self { kernel, image, initramfs }),
        }
    }

    /// Loads the kernel, the initramfs, and the command line into fresh memory.
    ///
    /// # Errors
    ///
    /// One of them can't be read any more, was changed, or does not fit.
    pub fn load(&self, memory: &GuestRam, cmdline: &str) -> Result<Kernel, KernelError> {
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
        write_cmdline(memory, cmdline, cmdline_max)?;
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

impl Ram {
    fn of(memory: &GuestRam) -> Self {
        let mut ram = Self::default();
        for region in memory.iter() {
            let (start, end) = (region.start_addr().0, region.last_addr().unchecked_add(1).0);
            if start < layout::RAM_ABOVE_4G {
                ram.low_end = end;
            } else {
                ram.high = start..end;
            }
        }
        ram
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
