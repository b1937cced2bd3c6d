//! The PVH boot protocol: Xen, docs/misc/pvh.pandoc, "x86/HVM direct boot ABI".

use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use vm_memory::{Bytes, GuestAddress};

use super::{error::BootError, info::BootInfo};
use crate::{layout, memory::GuestRam};

/// "xEn3", with the high bit of "E" set.
const START_MAGIC: u32 = 0x336e_c578;
/// Version 1 adds the memory map.
const VERSION: u32 = 1;

/// Writes `hvm_start_info` at [`layout::PVH_START_INFO`], the module list and the memory map behind it.
///
/// # Errors
///
/// The tables are not in guest memory.
pub fn pvh(memory: &GuestRam, info: &BootInfo<'_>) -> Result<(), BootError> {
    let write = BootError::writing("PVH start info");
    let modules = layout::PVH_START_INFO + size_of::<hvm_start_info>() as u64;
    let memmap = modules + size_of::<hvm_modlist_entry>() as u64;

    if let Some(initrd) = &info.initrd {
        let module = hvm_modlist_entry {
            paddr: initrd.start,
            size: initrd.end.saturating_sub(initrd.start),
            ..hvm_modlist_entry::default()
        };
        memory.write_obj(module, GuestAddress(modules)).map_err(&write)?;
    }
    let mut at = memmap;
    for entry in &info.map.e820 {
        let entry = hvm_memmap_table_entry {
            addr: entry.addr,
            size: entry.size,
            type_: entry.kind as u32,
            reserved: 0,
        };
        memory.write_obj(entry, GuestAddress(at)).map_err(&write)?;
        at += size_of::<hvm_memmap_table_entry>() as u64;
    }
    let start_info = hvm_start_info {
        magic: START_MAGIC,
        version: VERSION,
        nr_modules: u32::from(info.initrd.is_some()),
        modlist_paddr: if info.initrd.is_some() { modules } else { 0 },
        cmdline_paddr: layout::CMDLINE,
        rsdp_paddr: info.rsdp,
        memmap_paddr: memmap,
        memmap_entries: u32::try_from(info.map.e820.len()).unwrap_or(u32::MAX),
        ..hvm_start_info::default()
    };
    memory.write_obj(start_info, GuestAddress(layout::PVH_START_INFO)).map_err(write)
}
