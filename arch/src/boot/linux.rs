//! The Linux 64-bit boot protocol: Documentation/arch/x86/boot.rst, "64-bit Boot Protocol".

use linux_loader::loader::bootparam::{LOADED_HIGH, boot_e820_entry, boot_params, setup_header};
use vm_memory::{Bytes, GuestAddress};

use super::{error::BootError, info::BootInfo};
use crate::{layout, memory::GuestRam};

const BOOT_FLAG: u16 = 0xaa55;
/// "HdrS".
const HEADER_MAGIC: u32 = 0x5372_6448;
/// A boot loader that has no number of its own.
const LOADER_UNDEFINED: u8 = 0xff;

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
    // A map has at most six entries; the zero page has room for 128.
    for (slot, entry) in params.e820_table.iter_mut().zip(&info.map.e820) {
        *slot = boot_e820_entry { addr: entry.addr, size: entry.size, r#type: entry.kind as u32 };
        params.e820_entries += 1;
    }
    memory.write_obj(params, GuestAddress(layout::ZERO_PAGE)).map_err(BootError::writing("zero page"))
}

/// The low and the high 32 bits: the header has a field for each.
#[expect(clippy::cast_possible_truncation, reason = "each half is 32 bits")]
fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}
