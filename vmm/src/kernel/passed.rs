//! A kernel that firmware loads: it reads the parts from fw_cfg, and starts the kernel's real-mode code, as with QEMU's `-kernel`.

use std::{io, path::Path, sync::Arc};

use arch::{layout, memory::GuestRam};
use devices::platform::fw_cfg::{Content, Key};
use linux_loader::loader::bootparam::{LOADED_HIGH, setup_header};

use super::{
    bzimage,
    error::KernelError,
    fitting::{check_fits, cmdline, open_initramfs, place},
    formats,
    image::ImageError,
    initramfs::{Limit, Ram},
    source::Source,
};
use crate::{config::KernelConfig, size::Size};

/// The first protocol version that has `cmd_line_ptr`, so that the command line can be anywhere.
const VERSION: u16 = 0x0202;
/// The first protocol versions with `initrd_addr_max`, `cmdline_size`, and `init_size`.
const HAS_INITRD_ADDR_MAX: u16 = 0x0203;
const HAS_CMDLINE_SIZE: u16 = 0x0206;
const HAS_INIT_SIZE: u16 = 0x020a;
/// `initrd_addr_max` and `cmdline_size` of kernels that don't have these fields.
const INITRD_ADDR_MAX: u64 = 0x37ff_ffff;
const CMDLINE_SIZE: usize = 255;

/// Offsets in the real-mode part of the fields that a boot loader sets, with their values.
const TYPE_OF_LOADER: usize = 0x210;
const LOADER: u8 = 0xb0;
const LOADFLAGS: usize = 0x211;
const CAN_USE_HEAP: u8 = 1 << 7;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const HEAP_END_PTR: usize = 0x224;
const CMD_LINE_PTR: usize = 0x228;
/// The address from which `heap_end_ptr` counts: the end of the boot sector.
const HEAP_FROM: u64 = 0x200;

/// The memory below the end of low memory that SeaBIOS needs for itself and its tables.
const BIOS_TABLES: u64 = 256 << 10;

/// The files of a kernel that firmware loads. They outlive the machine's resets.
#[derive(Debug)]
pub struct PassedKernel {
    kernel: Arc<Source>,
    header: setup_header,
    /// Length of the protected-mode part, the rest of the file.
    code_len: u64,
    initramfs: Option<Arc<Source>>,
    cmdline: String,
}

impl PassedKernel {
    /// Opens the files, reads a pipe to its end, and checks the kernel's header, for a machine with this much memory.
    ///
    /// # Errors
    ///
    /// A file can't be read, or is of the wrong kind.
    pub fn open(config: &KernelConfig, memory: Size) -> Result<Self, KernelError> {
        let KernelConfig { path, initramfs, cmdline } = config;
        let kernel = Source::open("--kernel", path, memory)?;
        let image = |source| KernelError::Image { path: path.clone(), source };
        let header = header(&kernel.head(formats::HEAD)?).map_err(image)?;
        let code_len = code_len(&header, kernel.len()).map_err(image)?;
        let initramfs = initramfs.as_deref().map(|path| open_initramfs(path, memory)).transpose()?;
        Ok(Self {
            kernel: Arc::new(kernel),
            header,
            code_len,
            initramfs: initramfs.map(Arc::new),
            cmdline: cmdline.clone(),
        })
    }

    /// The kernel's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.kernel.path()
    }

    /// Returns fw_cfg's items, for a machine with this memory. The files are read when the firmware reads the items.
    ///
    /// # Errors
    ///
    /// A file can't be read any more, has changed, or does not fit.
    pub(crate) fn items(&self, memory: &GuestRam) -> Result<Vec<(Key, Content)>, KernelError> {
        let mut ram = Ram::of(memory);
        let end = self.end()?;
        check_fits(&self.kernel, end.saturating_add(BIOS_TABLES), &ram)?;
        ram.low_end = ram.low_end.saturating_sub(BIOS_TABLES);
        let cmdline = cmdline(&self.cmdline, self.cmdline_max())?;
        let limit = self.initramfs_limit();
        let place = |file| place(file, end, &limit, &ram).map_err(with_tables);
        let initramfs = self.initramfs.as_ref().map(|file| Ok((file, place(file)?.start))).transpose()?;

        let mut setup = vec![0; usize::try_from(bzimage::setup_len(&self.header)).unwrap_or(usize::MAX)];
        self.kernel.read_at(0, &mut setup)?;
        self.kernel.check_unchanged()?;
        let mut set = |at: usize, bytes: &[u8]| setup[at..at + bytes.len()].copy_from_slice(bytes);
        set(TYPE_OF_LOADER, &[LOADER]);
        set(LOADFLAGS, &[self.header.loadflags | CAN_USE_HEAP]);
        set(HEAP_END_PTR, &low(layout::CMDLINE - layout::KERNEL_SETUP - HEAP_FROM)[..2]);
        set(CMD_LINE_PTR, &low(layout::CMDLINE));
        if let Some((file, start)) = initramfs {
            set(RAMDISK_IMAGE, &low(start));
            set(RAMDISK_SIZE, &low(file.len()));
        }

        let number = |value: u64| Content::Bytes(low(value).to_vec());
        let setup_len = setup.len() as u64;
        let mut items = vec![
            (Key::KernelAddr, number(layout::HIGH_RAM)),
            (Key::KernelSize, number(self.code_len)),
            (Key::KernelData, read(&self.kernel, setup_len, self.code_len)),
            (Key::CmdlineAddr, number(layout::CMDLINE)),
            (Key::CmdlineSize, number(cmdline.len() as u64)),
            (Key::CmdlineData, Content::Bytes(cmdline)),
            (Key::SetupAddr, number(layout::KERNEL_SETUP)),
            (Key::SetupSize, number(setup_len)),
            (Key::SetupData, Content::Bytes(setup)),
        ];
        if let Some((file, start)) = initramfs {
            file.check_unchanged()?;
            items.push((Key::InitrdAddr, number(start)));
            items.push((Key::InitrdSize, number(file.len())));
            items.push((Key::InitrdData, read(file, 0, file.len())));
        }
        Ok(items)
    }

    /// The end of the memory that the kernel uses before it knows its memory map.
    fn end(&self) -> Result<u64, KernelError> {
        let loaded = layout::HIGH_RAM.saturating_add(self.code_len);
        if self.header.version < HAS_INIT_SIZE {
            return Ok(loaded);
        }
        let runs = bzimage::runtime_end(&self.header, layout::HIGH_RAM);
        let runs = runs.map_err(|source| KernelError::Image { path: self.path().to_owned(), source })?;
        Ok(runs.max(loaded))
    }

    fn cmdline_max(&self) -> usize {
        let said = usize::try_from(self.header.cmdline_size).unwrap_or(usize::MAX);
        if self.header.version < HAS_CMDLINE_SIZE { CMDLINE_SIZE } else { said }
    }

    /// The limit for the initramfs, as in QEMU: if the initramfs does not end in the page of `initrd_addr_max`, the option ROM moves it to
    /// the end of memory.
    fn initramfs_limit(&self) -> Limit {
        let setup_header { version, initrd_addr_max, xloadflags, .. } = self.header;
        let anywhere = version >= bzimage::VERSION && xloadflags & bzimage::XLF_CAN_BE_LOADED_ABOVE_4G != 0;
        let most = layout::FIRMWARE_RAM_END - BIOS_TABLES;
        let (below, why) = match version {
            _ if anywhere => (most, "in a machine that firmware starts"),
            HAS_INITRD_ADDR_MAX.. => {
                (u64::from(initrd_addr_max).min(most), "by its header's initrd_addr_max")
            }
            _ => (INITRD_ADDR_MAX, "since its header has no initrd_addr_max"),
        };
        Limit { below, above_4g: false, why }
    }
}

/// The header of a kernel that begins with `head`, if firmware can start the kernel.
fn header(head: &[u8]) -> Result<setup_header, ImageError> {
    let refuse = |what| Err(ImageError::NotForFirmware(what));
    if head.starts_with(b"\x7fELF") {
        return refuse("this is an ELF file, which nvmm starts without --firmware");
    }
    if !bzimage::is_one(head) {
        return refuse(formats::what_it_is(head));
    }
    let header = bzimage::header(head).ok_or_else(|| ImageError::damaged("its header is not whole"))?;
    if { header.version } < VERSION {
        return refuse("this kernel is older than boot protocol 2.02 (Linux 2.4)");
    }
    if u32::from(header.loadflags) & u32::from(LOADED_HIGH) == 0 {
        return refuse("this is a zImage, which is loaded below 1 MiB");
    }
    if bzimage::setup_len(&header) > layout::CMDLINE - layout::KERNEL_SETUP {
        return refuse("its real-mode part is longer than 64 KiB");
    }
    Ok(header)
}

/// The length of the protected-mode part of a file of `len` bytes.
fn code_len(header: &setup_header, len: u64) -> Result<u64, ImageError> {
    // Older programs in this format, such as memdisk, lack `syssize`.
    if { header.version } >= bzimage::VERSION {
        return bzimage::code_len(header, len);
    }
    let setup = bzimage::setup_len(header);
    let code = len.checked_sub(setup).filter(|code| *code > 0);
    code.ok_or_else(|| {
        ImageError::damaged(format!("its header speaks of more than {setup} bytes, and there are {len}"))
    })
}

/// Adds SeaBIOS's tables to the memory that is needed for an initramfs.
fn with_tables(error: KernelError) -> KernelError {
    match error {
        KernelError::Initramfs { path, len, start, need } => {
            KernelError::Initramfs { path, len, start, need: need + BIOS_TABLES }
        }
        other => other,
    }
}

/// The bytes of a file, for firmware to read.
fn read(source: &Arc<Source>, start: u64, len: u64) -> Content {
    let source = Arc::clone(source);
    let read = move |offset: u64, bytes: &mut [u8]| {
        let read = source.read_at(start + offset, bytes).and_then(|()| source.check_unchanged());
        // The error names the file, which is more helpful than the item's name.
        read.map_err(|error| io::Error::other(format!("{:#}", anyhow::Error::from(error))))
    };
    Content::Read { len: u32::try_from(len).unwrap_or(u32::MAX), read: Box::new(read) }
}

/// An address or a length in memory below 4 GiB, in the form of items and headers.
fn low(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
#[path = "passed_test.rs"]
mod tests;
