//! The Linux 64-bit boot protocol: Documentation/arch/x86/boot.rst, "64-bit Boot Protocol".

use linux_loader::loader::bootparam::{LOADED_HIGH, boot_e820_entry, boot_params, screen_info, setup_header};
use vm_memory::{Bytes, GuestAddress};

use super::{
    error::BootError,
    info::{BootInfo, Framebuffer},
};
use crate::{layout, memory::GuestRam};

const BOOT_FLAG: u16 = 0xaa55;
/// "HdrS".
const HEADER_MAGIC: u32 = 0x5372_6448;
/// A boot loader that has no number of its own.
const LOADER_UNDEFINED: u8 = 0xff;

/// `VIDEO_TYPE_EFI` of `screen_info.h`: a linear frame buffer, which efifb and simpledrm drive without any EFI. For `VIDEO_TYPE_VLFB`,
/// distributions' kernels have no driver.
const VIDEO_TYPE_EFI: u8 = 0x70;

/// Writes the zero page at [`layout::ZERO_PAGE`].
///
/// `header` is the setup header of a bzImage; an ELF kernel has none.
///
/// # Errors
///
/// The zero page is not in guest memory.
pub fn linux64(
    memory: &GuestRam,
    header: Option<setup_header>,
    info: &BootInfo<'_>,
) -> Result<(), BootError> {
    let hdr = header.unwrap_or(setup_header {
        boot_flag: BOOT_FLAG,
        header: HEADER_MAGIC,
        loadflags: LOADED_HIGH,
        ..setup_header::default()
    });
    let mut params = boot_params { hdr, acpi_rsdp_addr: info.rsdp, ..boot_params::default() };
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    (params.hdr.cmd_line_ptr, params.ext_cmd_line_ptr) = halves(layout::CMDLINE);
    if let Some(initrd) = &info.initrd {
        (params.hdr.ramdisk_image, params.ext_ramdisk_image) = halves(initrd.start);
        (params.hdr.ramdisk_size, params.ext_ramdisk_size) = halves(initrd.end.saturating_sub(initrd.start));
    }
    if let Some(framebuffer) = &info.framebuffer {
        params.screen_info = screen(framebuffer);
    }
    // A map has at most six entries; the zero page has room for 128.
    for (slot, entry) in params.e820_table.iter_mut().zip(&info.map.e820) {
        *slot = boot_e820_entry { addr: entry.addr, size: entry.size, r#type: entry.kind as u32 };
        params.e820_entries += 1;
    }
    memory.write_obj(params, GuestAddress(layout::ZERO_PAGE)).map_err(BootError::writing("zero page"))
}

/// `struct screen_info`: the kernel's idea of the screen that firmware has set up.
fn screen(&Framebuffer { base, width, height, pitch }: &Framebuffer) -> screen_info {
    screen_info {
        orig_video_isVGA: VIDEO_TYPE_EFI,
        lfb_width: width,
        lfb_height: height,
        lfb_depth: 32,
        lfb_base: base,
        lfb_size: u32::from(pitch) * u32::from(height),
        lfb_linelength: pitch,
        red_size: 8,
        red_pos: 16,
        green_size: 8,
        green_pos: 8,
        blue_size: 8,
        blue_pos: 0,
        rsvd_size: 8,
        rsvd_pos: 24,
        pages: 1,
        ..screen_info::default()
    }
}

/// Splits a value into its low and high 32 bits: the header has a field for each.
#[expect(clippy::cast_possible_truncation, reason = "each half is 32 bits")]
fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}
