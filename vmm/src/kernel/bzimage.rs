//! bzImage: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".

use arch::{
    boot::{Entry, Protocol},
    layout,
};
use linux_loader::loader::bootparam::{LOADED_HIGH, setup_header};
use vm_memory::ByteValued;

use super::{
    image::{Image, ImageError, Segment},
    initramfs::Limit,
};

const HEADER: usize = 0x1f1;
const MAGIC: &[u8] = b"HdrS";
const MAGIC_AT: usize = 0x202;
/// The low byte of a jump's offset, which is the length of the header after the magic number.
const JUMP_OFFSET: usize = 0x201;
/// The first protocol version that has `xloadflags`.
pub(super) const VERSION: u16 = 0x020c;
/// The end of that version's header.
const HEADER_END: usize = 0x268;
const SECTOR: u64 = 512;

/// `xloadflags`: there is a 64-bit entry point, at this distance from the load address.
const XLF_KERNEL_64: u16 = 1 << 0;
const ENTRY_64: u64 = 0x200;
/// `xloadflags`: the initramfs, and everything else, may be anywhere.
pub(super) const XLF_CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;

/// Returns whether a file that begins with `head` is a bzImage, or its 16-bit ancestor.
pub(super) fn is_one(head: &[u8]) -> bool {
    head.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) == Some(MAGIC)
}

/// Reads the header of a bzImage of `len` bytes.
pub(super) fn read(head: &[u8], len: u64) -> Result<Image, ImageError> {
    let header = header(head).ok_or_else(|| ImageError::damaged("its header is not whole"))?;
    if { header.version } < VERSION {
        return Err(ImageError::NotAKernel("this kernel is older than boot protocol 2.12 (Linux 3.8)"));
    }
    if header.xloadflags & XLF_KERNEL_64 == 0 {
        return Err(ImageError::NotAKernel("this is a 32-bit kernel"));
    }
    if u32::from(header.loadflags) & u32::from(LOADED_HIGH) == 0 {
        return Err(ImageError::NotAKernel("this is a zImage, which is loaded below 1 MiB"));
    }
    let setup = setup_len(&header);
    let code = code_len(&header, len)?;
    let segment = Segment { offset: setup, file_len: code, address: layout::HIGH_RAM, memory_len: code };
    Ok(Image {
        entry: Entry { protocol: Protocol::Linux64, rip: segment.address + ENTRY_64 },
        end: runtime_end(&header, segment.address)?.max(segment.end()),
        segments: vec![segment],
        initramfs: Limit {
            below: u64::from(header.initrd_addr_max) + 1,
            above_4g: header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G != 0,
            why: "by its header's initrd_addr_max",
        },
        cmdline_max: usize::try_from(header.cmdline_size).unwrap_or(usize::MAX),
        header: Some(setup_header { code32_start: low(segment.address), ..header }),
    })
}

/// The length of the real-mode part: the boot sector, and the sectors of code after it.
pub(super) fn setup_len(header: &setup_header) -> u64 {
    // "For backwards compatibility, if the setup_sects field contains 0, the real value is 4."
    match header.setup_sects {
        0 => 5 * SECTOR,
        sectors => (u64::from(sectors) + 1) * SECTOR,
    }
}

/// The length of the rest of a file of `len` bytes. An error if the file is shorter than its header says.
pub(super) fn code_len(header: &setup_header, len: u64) -> Result<u64, ImageError> {
    let setup = setup_len(header);
    let promised = setup + u64::from(header.syssize) * 16;
    // The last 16 bytes may be incomplete.
    let code = len.checked_sub(setup).filter(|code| *code > ENTRY_64 && len.next_multiple_of(16) >= promised);
    code.ok_or_else(|| {
        let least = promised.max(setup + ENTRY_64 + 1);
        ImageError::damaged(format!("its header speaks of {least} bytes, and there are {len}"))
    })
}

/// The header, without the fields of later versions, in whose place this kernel's code begins.
pub(super) fn header(head: &[u8]) -> Option<setup_header> {
    let mut header = setup_header::default();
    let end = MAGIC_AT + usize::from(*head.get(JUMP_OFFSET)?);
    let len = (end.max(HEADER_END) - HEADER).min(size_of::<setup_header>());
    header.as_mut_slice()[..len].copy_from_slice(head.get(HEADER..HEADER + len)?);
    Some(header)
}

/// The end of the memory that a kernel loaded at `address` uses while it unpacks itself: `init_size` bytes from the address that boot.rst
/// computes under "init_size".
pub(super) fn runtime_end(header: &setup_header, address: u64) -> Result<u64, ImageError> {
    let start = if header.relocatable_kernel == 0 {
        header.pref_address
    } else {
        let align = u64::from({ header.kernel_alignment }.max(1));
        header.pref_address.max(address).checked_next_multiple_of(align).unwrap_or(u64::MAX)
    };
    start
        .checked_add(header.init_size.into())
        .ok_or_else(|| ImageError::damaged(format!("it wants to run at {start:#x}")))
}

fn low(address: u64) -> u32 {
    u32::try_from(address).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "bzimage_test.rs"]
mod tests;
