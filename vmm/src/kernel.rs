//! Loading a kernel and what goes with it into guest memory.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};

use arch::{
    boot::{Entry, Protocol},
    layout,
};
use linux_loader::loader::{
    self, BzImage, Elf, KernelLoader, bootparam::setup_header, elf::PvhBootCapability,
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

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
    /// Not a kernel.
    #[error("--kernel {}: {what}; give a bzImage (Debian: /boot/vmlinuz-*) or an ELF vmlinux", path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// Its headers promise more than the file has.
    #[error("--kernel {}: the file is truncated or damaged", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What was missed.
        source: Option<loader::Error>,
    },
    /// The kernel, or what it unpacks itself to, does not fit.
    #[error(
        "--kernel {}: needs memory up to {:#x}, and the guest's ends at {:#x}; give --memory at least {}",
        path.display(), need, have, Size(need.next_multiple_of(1 << 20))
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Where the kernel ends while it unpacks itself.
        need: u64,
        /// Where memory below 4 GiB ends.
        have: u64,
    },
    /// The initramfs does not fit between the kernel and the end of memory.
    #[error(
        "--initramfs {}: {len} bytes do not fit between the kernel's end at {:#x} and {:#x}; give more --memory",
        path.display(), room.start, room.end
    )]
    Initramfs {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// Where it could be.
        room: Range<u64>,
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
    /// The loader refuses for another reason.
    #[error("--kernel {}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Why.
        source: loader::Error,
    },
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

/// The bzImage header that decides how it is loaded: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
const BZIMAGE_HEADER: usize = 0x1f1;
const BZIMAGE_MAGIC: &[u8] = b"HdrS";
const BZIMAGE_MAGIC_AT: usize = 0x202;
/// `xloadflags`: there is a 64-bit entry, this far after the load address.
const XLF_KERNEL_64: u16 = 1 << 0;
const BZIMAGE_64_ENTRY: u64 = 0x200;
/// The first protocol version that has `xloadflags`.
const BZIMAGE_VERSION: u16 = 0x020c;
/// Linux's own limit, for kernels that state none.
const COMMAND_LINE_SIZE: usize = 2048;

const ELF_CLASS: usize = 4;
const ELF_CLASS_64: u8 = 2;
const ELF_MACHINE: Range<usize> = 18..20;
const ELF_MACHINE_386: u16 = 3;
const ELF_MACHINE_X86_64: u16 = 62;

impl Kernel {
    /// Loads the kernel, the initramfs as high as the kernel can take it, and the command line.
    ///
    /// # Errors
    ///
    /// One of them can't be read, is not what it should be, or does not fit.
    pub fn load(
        memory: &GuestMemoryMmap,
        kernel: &Path,
        initramfs: Option<&Path>,
        cmdline: &str,
    ) -> Result<Self, KernelError> {
        let low_end = memory
            .iter()
            .map(|region| vm_memory::GuestMemoryRegion::last_addr(region).0 + 1)
            .find(|end| *end <= layout::PCI_MMIO)
            .unwrap_or_default();
        let mut image = Image::open(kernel)?;
        let loaded = image.load(memory, low_end)?;
        let initramfs = initramfs
            .map(|path| load_initramfs(memory, path, loaded.end..low_end.min(loaded.initrd_max)))
            .transpose()?;
        write_cmdline(memory, cmdline, loaded.cmdline_max)?;
        Ok(Self { entry: loaded.entry, header: loaded.header, initramfs })
    }
}

/// A kernel image file.
struct Image<'a> {
    path: &'a Path,
    file: File,
    len: u64,
    head: Vec<u8>,
}

/// A kernel in memory, and what it says of its limits.
struct Loaded {
    entry: Entry,
    header: Option<setup_header>,
    /// Nothing else may lie below this address, from 1 MiB on.
    end: u64,
    /// The initramfs must end below.
    initrd_max: u64,
    cmdline_max: usize,
}

impl<'a> Image<'a> {
    fn open(path: &'a Path) -> Result<Self, KernelError> {
        let read = |source| KernelError::Read { option: "--kernel", path: path.to_owned(), source };
        let mut file = open_file(path).map_err(read)?;
        let len = file.seek(SeekFrom::End(0)).map_err(read)?;
        file.rewind().map_err(read)?;
        let mut head = Vec::new();
        (&file).take(0x1000).read_to_end(&mut head).map_err(read)?;
        Ok(Self { path, file, len, head })
    }

    fn load(&mut self, memory: &GuestMemoryMmap, low_end: u64) -> Result<Loaded, KernelError> {
        if self.head.starts_with(b"\x7fELF") {
            self.load_elf(memory, low_end)
        } else if self.head.get(BZIMAGE_MAGIC_AT..BZIMAGE_MAGIC_AT + 4) == Some(BZIMAGE_MAGIC) {
            self.load_bzimage(memory, low_end)
        } else {
            Err(self.not_a_kernel(match self.head.as_slice() {
                [] => "the file is empty",
                [0x1f, 0x8b, ..] => "this is a gzip file",
                [0xfd, b'7', b'z', ..] => "this is an xz file",
                [0x28, 0xb5, 0x2f, 0xfd, ..] => "this is a zstd file",
                [b'M', b'Z', ..] => "this is an EFI program, but no x86 bzImage",
                _ => "this is no kernel that nvmm knows",
            }))
        }
    }

    fn load_bzimage(&mut self, memory: &GuestMemoryMmap, low_end: u64) -> Result<Loaded, KernelError> {
        let header = self.header().ok_or_else(|| self.truncated(None))?;
        let setup = (u64::from(header.setup_sects.max(1)) + 1) * 512;
        let setup = if header.setup_sects == 0 { 5 * 512 } else { setup };
        if { header.version } < BZIMAGE_VERSION || header.xloadflags & XLF_KERNEL_64 == 0 {
            return Err(self.not_a_kernel("this is a 32-bit kernel"));
        }
        if setup + u64::from(header.syssize) * 16 > self.len.next_multiple_of(16) {
            return Err(self.truncated(None));
        }
        // It unpacks itself where it prefers to be, or where it was loaded if that is higher, and needs `init_size` there.
        let start = header.pref_address.max(layout::HIGH_RAM);
        let end =
            start.saturating_add(u64::from(header.init_size)).max(layout::HIGH_RAM + (self.len - setup));
        self.check_fits(end, low_end)?;
        let result = BzImage::load(memory, None, &mut self.file, Some(GuestAddress(layout::HIGH_RAM)))
            .map_err(|error| self.load_error(error))?;
        let rip = result.kernel_load.0 + BZIMAGE_64_ENTRY;
        Ok(Loaded {
            entry: Entry { protocol: Protocol::Linux64, rip },
            header: result.setup_header,
            end,
            initrd_max: u64::from(header.initrd_addr_max) + 1,
            cmdline_max: usize::try_from(header.cmdline_size).unwrap_or(usize::MAX),
        })
    }

    fn load_elf(&mut self, memory: &GuestMemoryMmap, low_end: u64) -> Result<Loaded, KernelError> {
        let machine = self.head.get(ELF_MACHINE).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        match (self.head.get(ELF_CLASS), machine) {
            (None, _) | (_, None) => return Err(self.truncated(None)),
            (_, Some(ELF_MACHINE_386)) => return Err(self.not_a_kernel("this is a 32-bit kernel")),
            (Some(&ELF_CLASS_64), Some(ELF_MACHINE_X86_64)) => {}
            _ => return Err(self.not_a_kernel("this ELF file is not for x86-64")),
        }
        self.check_fits(self.elf_end()?, low_end)?;
        let result = Elf::load(memory, None, &mut self.file, Some(GuestAddress(layout::HIGH_RAM)))
            .map_err(|error| self.load_error(error))?;
        let entry = match result.pvh_boot_cap {
            PvhBootCapability::PvhEntryPresent(entry) => Entry { protocol: Protocol::Pvh, rip: entry.0 },
            _ => Entry { protocol: Protocol::Linux64, rip: result.kernel_load.0 },
        };
        let end = result.kernel_end;
        Ok(Loaded { entry, header: None, end, initrd_max: low_end, cmdline_max: COMMAND_LINE_SIZE - 1 })
    }

    /// Where the highest segment ends in memory; every one must lie above what nvmm itself puts below 1 MiB.
    fn elf_end(&self) -> Result<u64, KernelError> {
        let field = |at: usize, len: usize| {
            let bytes = self.head.get(at..at + len)?;
            Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
        };
        let index = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
        // ELF-64 Object File Format: e_phoff, e_phentsize, e_phnum; p_type, p_paddr, p_memsz.
        let (phoff, phentsize, phnum) = (index(field(32, 8)), index(field(54, 2)), index(field(56, 2)));
        let segments = (0..phnum.unwrap_or_default()).map(|n| {
            let at = phoff?.checked_add(n.checked_mul(phentsize?)?)?;
            at.checked_add(56).filter(|end| *end <= self.head.len())?;
            Some((field(at, 4)?, field(at + 24, 8)?, field(at + 40, 8)?))
        });
        let mut end = 0;
        for segment in segments {
            match segment.ok_or_else(|| self.truncated(None))? {
                (1, start, len) if len > 0 => {
                    if start < layout::HIGH_RAM {
                        return Err(self.not_a_kernel("this ELF file has to be loaded below 1 MiB"));
                    }
                    end = end.max(start.saturating_add(len));
                }
                _ => {}
            }
        }
        Ok(end)
    }

    fn header(&self) -> Option<setup_header> {
        let mut header = setup_header::default();
        let bytes = self.head.get(BZIMAGE_HEADER..BZIMAGE_HEADER + size_of::<setup_header>())?;
        vm_memory::ByteValued::as_mut_slice(&mut header).copy_from_slice(bytes);
        Some(header)
    }

    fn check_fits(&self, need: u64, have: u64) -> Result<(), KernelError> {
        if need > have {
            return Err(KernelError::TooLarge { path: self.path.to_owned(), need, have });
        }
        Ok(())
    }

    fn not_a_kernel(&self, what: &'static str) -> KernelError {
        KernelError::NotAKernel { path: self.path.to_owned(), what }
    }

    fn truncated(&self, source: Option<loader::Error>) -> KernelError {
        KernelError::Truncated { path: self.path.to_owned(), source }
    }

    /// Sizes were checked before: what the loader can't read now is not in the file.
    fn load_error(&self, source: loader::Error) -> KernelError {
        use loader::{bzimage, elf};
        match source {
            loader::Error::Bzimage(
                bzimage::Error::ReadBzImageCompressedKernel | bzimage::Error::Underflow,
            )
            | loader::Error::Elf(
                elf::Error::ReadKernelImage
                | elf::Error::ReadProgramHeader
                | elf::Error::ReadElfHeader
                | elf::Error::ReadNoteHeader,
            ) => self.truncated(Some(source)),
            _ => KernelError::Load { path: self.path.to_owned(), source },
        }
    }
}

/// A directory opens, and fails only when read: say it at once.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
}

/// Puts the initramfs as high in `room` as it goes: kernels unpack themselves upwards.
fn load_initramfs(
    memory: &GuestMemoryMmap,
    path: &Path,
    room: Range<u64>,
) -> Result<Range<u64>, KernelError> {
    let read = |source| KernelError::Read { option: "--initramfs", path: path.to_owned(), source };
    let mut file = open_file(path).map_err(read)?;
    let len = file.seek(SeekFrom::End(0)).map_err(read)?;
    file.rewind().map_err(read)?;
    let start = room.end.checked_sub(len).map(|start| start & !0xfff).filter(|start| *start >= room.start);
    let start = start.ok_or_else(|| KernelError::Initramfs { path: path.to_owned(), len, room })?;
    let count = usize::try_from(len).unwrap_or(usize::MAX);
    memory
        .read_exact_volatile_from(GuestAddress(start), &mut file, count)
        .map_err(|error| read(io::Error::other(error)))?;
    Ok(start..start + len)
}

fn write_cmdline(memory: &GuestMemoryMmap, cmdline: &str, kernel_max: usize) -> Result<(), KernelError> {
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
