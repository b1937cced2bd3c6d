use kvm_bindings::{kvm_lapic_state, kvm_sregs};
use linux_loader::loader::{
    bootparam::{boot_params, setup_header},
    elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info},
};
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::{
    cpu::{testing, topology::Topology},
    layout,
    memory::GuestRam,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn memory() -> GuestRam {
    GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap()
}

#[test]
fn small_memory_is_one_range() {
    let map = memory_map(128 * MIB).unwrap();
    assert_eq!(map.ram, [(GuestAddress(0), 128 << 20)]);
    let usable: u64 = usable(&map).map(|entry| entry.size).sum();
    assert_eq!(usable, 128 * MIB - (layout::HIGH_RAM - layout::LOW_RAM_END));
}

#[test]
fn memory_past_the_hole_goes_on_above_4_gib() {
    let map = memory_map(8 * GIB).unwrap();
    let low = usize::try_from(layout::PCI_MMIO).unwrap();
    assert_eq!(map.ram, [(GuestAddress(0), low), (GuestAddress(4 * GIB), 5 << 30)]);
    assert_eq!(map.e820.last().map(|entry| (entry.addr, entry.size)), Some((4 * GIB, 5 * GIB)));
    assert_eq!(memory_map(3 * GIB).unwrap().ram.len(), 1);
}

#[test]
fn firmware_has_at_most_2_gib_of_its_memory_below_4_gib() {
    let ram = |size| firmware_memory_map(size).unwrap().ram;
    assert_eq!(ram(2 * GIB), [(GuestAddress(0), 2 << 30)]);
    assert_eq!(ram(3 * GIB), [(GuestAddress(0), 2 << 30), (GuestAddress(4 * GIB), 1 << 30)]);
    let map = firmware_memory_map(3 * GIB).unwrap();
    let told: Vec<_> = map.e820.iter().map(|entry| (entry.addr, entry.size, entry.kind)).collect();
    assert_eq!(
        told,
        [
            (0, 2 * GIB, E820Type::Ram),
            (0xfeff_c000, 0x4000, E820Type::Reserved),
            (4 * GIB, GIB, E820Type::Ram)
        ]
    );
    assert_eq!(map.end(), 5 * GIB);
    for size in [MIB, 2 * MIB + 1, 1 << 60] {
        assert_eq!(
            firmware_memory_map(size).unwrap_err().to_string(),
            memory_map(size).unwrap_err().to_string()
        );
    }
}

#[test]
fn map_is_sorted_and_usable_ranges_are_ram() {
    let sizes = [2 * MIB, 3 * GIB, 3 * GIB + 4096, 100 * GIB];
    let maps = sizes.into_iter().flat_map(|size| [memory_map(size), firmware_memory_map(size)]);
    for map in maps.map(Result::unwrap) {
        for pair in map.e820.windows(2) {
            assert!(pair[0].addr + pair[0].size <= pair[1].addr, "{pair:x?}");
        }
        for entry in usable(&map) {
            let inside = |(start, len): &(GuestAddress, usize)| {
                start.0 <= entry.addr && entry.addr + entry.size <= start.0 + *len as u64
            };
            assert!(map.ram.iter().any(inside), "{entry:x?}");
        }
    }
}

#[test]
fn every_range_has_a_name_and_no_register_is_in_one() {
    let map = memory_map(4 * GIB).unwrap();
    let named = map.e820.iter().map(|entry| (entry.addr, entry.name, entry.kind));
    assert_eq!(
        named.collect::<Vec<_>>(),
        [
            (0, "RAM", E820Type::Ram),
            (0xc_0000, "SMBIOS tables", E820Type::Reserved),
            (0xe_0000, "ACPI tables, SMBIOS entry point", E820Type::Acpi),
            (0x10_0000, "RAM", E820Type::Ram),
            (0xe000_0000, "PCI configuration space", E820Type::Reserved),
            (0xfeff_c000, "KVM's own pages", E820Type::Reserved),
            (4 * GIB, "RAM", E820Type::Ram),
        ]
    );
    for (name, registers) in layout::KVM_REGISTERS {
        let apart =
            |entry: &E820Entry| registers.end <= entry.addr || entry.addr + entry.size <= registers.start;
        assert!(map.e820.iter().all(apart), "{name}");
    }
}

#[test]
fn the_file_for_firmware_has_every_range() {
    let map = memory_map(4 * GIB).unwrap();
    let file = map.file();
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let entries = file.chunks(20).map(|entry| (number(&entry[..8]), number(&entry[8..16]), &entry[16..]));
    let kind = |kind| match kind {
        E820Type::Ram => [1, 0, 0, 0],
        E820Type::Reserved => [2, 0, 0, 0],
        E820Type::Acpi => [3, 0, 0, 0],
    };
    let kinds: Vec<_> = map.e820.iter().map(|entry| kind(entry.kind)).collect();
    let expected = map.e820.iter().zip(&kinds).map(|(entry, kind)| (entry.addr, entry.size, &kind[..]));
    assert_eq!(entries.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn impossible_sizes_are_refused() {
    assert!(matches!(memory_map(0), Err(BootError::MemoryTooSmall(0))));
    assert!(matches!(memory_map(MIB), Err(BootError::MemoryTooSmall(_))));
    assert!(matches!(memory_map(2 * MIB + 1), Err(BootError::MemoryUnaligned(_))));
    assert!(matches!(memory_map(!0xfff), Err(BootError::MemoryTooLarge(_))));
}

#[test]
fn zero_page_keeps_the_setup_header() {
    let memory = memory();
    let map = memory_map(2 * MIB).unwrap();
    let header = setup_header { version: 0x020f, init_size: 0x1234, ..setup_header::default() };
    let info = BootInfo {
        map: &map,
        initrd: Some(0x1_2345_6000..0x1_2345_7001),
        rsdp: layout::ACPI_TABLES,
        framebuffer: None,
    };
    linux64(&memory, Some(header), &info).unwrap();

    let params: boot_params = memory.read_obj(GuestAddress(layout::ZERO_PAGE)).unwrap();
    let hdr = params.hdr;
    assert_eq!((hdr.version, hdr.init_size), (0x020f, 0x1234));
    assert_eq!({ hdr.type_of_loader }, 0xff);
    assert_eq!(u64::from(hdr.cmd_line_ptr), layout::CMDLINE);
    assert_eq!((hdr.ramdisk_image, params.ext_ramdisk_image), (0x2345_6000, 1));
    assert_eq!((hdr.ramdisk_size, params.ext_ramdisk_size), (0x1001, 0));
    assert_eq!({ params.acpi_rsdp_addr }, layout::ACPI_TABLES);
    assert_eq!(usize::from(params.e820_entries), map.e820.len());
    let third = params.e820_table[2];
    assert_eq!(
        (third.addr, third.size, third.r#type),
        (layout::ACPI_TABLES, layout::HIGH_RAM - layout::ACPI_TABLES, 3)
    );
}

#[test]
fn the_zero_page_describes_the_screen() {
    let memory = memory();
    let map = memory_map(2 * MIB).unwrap();
    let screen = |framebuffer| {
        let info = BootInfo { map: &map, initrd: None, rsdp: layout::ACPI_TABLES, framebuffer };
        linux64(&memory, None, &info).unwrap();
        memory.read_obj::<boot_params>(GuestAddress(layout::ZERO_PAGE)).unwrap().screen_info
    };
    let framebuffer = Framebuffer { base: 0xc100_0000, width: 1280, height: 800, pitch: 5120 };
    let info = screen(Some(framebuffer));
    assert_eq!((info.orig_video_isVGA, info.lfb_width, info.lfb_height), (0x70, 1280, 800));
    assert_eq!({ info.lfb_base }, 0xc100_0000);
    assert_eq!((info.lfb_depth, info.lfb_linelength), (32, 5120));
    assert_eq!({ info.lfb_size }, 5120 * 800);
    assert_eq!((info.red_pos, info.green_pos, info.blue_pos, info.rsvd_pos), (16, 8, 0, 24));
    assert_eq!(screen(None).orig_video_isVGA, 0);
}

#[test]
fn pvh_start_info_lists_memory_and_initrd() {
    let memory = memory();
    let map = memory_map(4 * GIB).unwrap();
    let info = BootInfo {
        map: &map,
        initrd: Some(0x10_0000..0x10_8000),
        rsdp: layout::ACPI_TABLES,
        framebuffer: None,
    };
    pvh(&memory, &info).unwrap();

    let start: hvm_start_info = memory.read_obj(GuestAddress(layout::PVH_START_INFO)).unwrap();
    assert_eq!((start.magic, start.version, start.nr_modules), (0x336e_c578, 1, 1));
    assert_eq!((start.cmdline_paddr, start.rsdp_paddr), (layout::CMDLINE, layout::ACPI_TABLES));
    let module: hvm_modlist_entry = memory.read_obj(GuestAddress(start.modlist_paddr)).unwrap();
    assert_eq!((module.paddr, module.size), (0x10_0000, 0x8000));
    assert_eq!(start.memmap_entries as usize, map.e820.len());
    let entry_len = size_of::<hvm_memmap_table_entry>() as u64;
    for (n, entry) in (0..).zip(&map.e820) {
        let at = GuestAddress(start.memmap_paddr + n * entry_len);
        let read: hvm_memmap_table_entry = memory.read_obj(at).unwrap();
        assert_eq!((read.addr, read.size, read.type_), (entry.addr, entry.size, entry.kind as u32));
    }
    let end = start.memmap_paddr + u64::from(start.memmap_entries) * entry_len;
    assert!(end <= layout::ZERO_PAGE);
}

#[test]
fn linux_is_entered_in_long_mode() {
    let entry = Entry { protocol: Protocol::Linux64, rip: 0x10_0200 };
    // KVM's reset value.
    let mut sregs = kvm_sregs { cr0: 0x6000_0010, apic_base: 0xfee0_0900, ..kvm_sregs::default() };
    entry.set_sregs(&mut sregs);
    assert_eq!((sregs.cr0, sregs.cr4, sregs.efer), (0x8000_0011, 0x20, 0x500));
    assert_eq!((sregs.cs.selector, sregs.cs.l, sregs.cs.db, sregs.cs.type_), (0x10, 1, 0, 0xb));
    assert_eq!((sregs.ss.selector, sregs.ss.limit, sregs.ss.g), (0x18, u32::MAX, 1));
    assert_eq!((sregs.tr.type_, sregs.tr.limit, sregs.tr.s, sregs.tr.present), (0xb, 0x67, 0, 1));
    assert_eq!(sregs.apic_base, 0xfee0_0900);
    let regs = entry.regs();
    assert_eq!((regs.rip, regs.rsi, regs.rflags), (0x10_0200, layout::ZERO_PAGE, 2));
}

#[test]
fn page_tables_map_4_gib_to_itself() {
    let memory = memory();
    let entry = Entry { protocol: Protocol::Linux64, rip: 0 };
    entry.write_tables(&memory).unwrap();
    let read = |at: u64| memory.read_obj::<u64>(GuestAddress(at)).unwrap();
    let next = |entry: u64| {
        assert_eq!(entry & 0xfff & !0x80, 0x3, "present, writable");
        entry & !0xfff
    };
    for address in [0, 0x1f_ffff, 0x10_0000, 0xbfff_ffff, 0xffff_ffff_u64] {
        let pdpt = next(read(layout::PML4 + (address >> 39 & 0x1ff) * 8));
        let directory = next(read(pdpt + (address >> 30 & 0x1ff) * 8));
        let page = read(directory + (address >> 21 & 0x1ff) * 8);
        assert_eq!(page & 0x80, 0x80);
        assert_eq!(next(page) + (address & 0x1f_ffff), address);
    }
    assert_eq!(read(layout::PML4 + 8), 0);
    assert_eq!(read(layout::PML4 + 0x1000 + 4 * 8), 0);
    // "64-bit Boot Protocol": __BOOT_CS is execute/read, __BOOT_DS read/write, both flat.
    assert_eq!(read(layout::BOOT_GDT + 0x10), 0x00af_9b00_0000_ffff);
    assert_eq!(read(layout::BOOT_GDT + 0x18), 0x00cf_9300_0000_ffff);
}

#[test]
fn pvh_is_entered_in_protected_mode_without_paging() {
    let entry = Entry { protocol: Protocol::Pvh, rip: 0x100_0000 };
    let mut sregs = kvm_sregs::default();
    entry.set_sregs(&mut sregs);
    assert_eq!((sregs.cr0, sregs.cr4, sregs.efer), (0x11, 0, 0));
    assert_eq!((sregs.cs.l, sregs.cs.db), (0, 1));
    assert_eq!(entry.regs().rbx, layout::PVH_START_INFO);
    let memory = memory();
    entry.write_tables(&memory).unwrap();
    assert_eq!(memory.read_obj::<u64>(GuestAddress(layout::BOOT_GDT + 0x10)).unwrap(), 0x00cf_9b00_0000_ffff);
    assert_eq!(memory.read_obj::<u64>(GuestAddress(layout::PML4)).unwrap(), 0);
}

#[test]
fn lint_pins_keep_their_masks() {
    let mut lapic = kvm_lapic_state::default();
    // Masked, as after reset.
    lapic.regs[0x352] = 1;
    lapic.regs[0x361] = 0x50;
    set_lint(&mut lapic);
    assert_eq!(lapic.regs[0x350..0x354], [0, 7, 1, 0]);
    assert_eq!(lapic.regs[0x360..0x364], [0, 0x54, 0, 0]);
}

#[test]
fn structures_do_not_overlap() {
    for pair in layout::BOOT_STRUCTURES.windows(2) {
        assert!(pair[0].1.end <= pair[1].1.start, "{pair:x?}");
    }
}

#[test]
fn memory_beside_the_structures_is_not_written() {
    let memory = memory();
    let map = memory_map(4 * GIB).unwrap();
    let info = BootInfo {
        map: &map,
        initrd: Some(0x10_0000..0x10_8000),
        rsdp: layout::ACPI_TABLES,
        framebuffer: None,
    };
    linux64(&memory, None, &info).unwrap();
    pvh(&memory, &info).unwrap();
    Entry { protocol: Protocol::Linux64, rip: 0x10_0000 }.write_tables(&memory).unwrap();
    let mut low = vec![0; usize::try_from(layout::HIGH_RAM).unwrap()];
    memory.read_slice(&mut low, GuestAddress(0)).unwrap();
    let written = (0..).zip(&low).filter(|(_, byte)| **byte != 0);
    for (at, _) in written {
        assert!(layout::BOOT_STRUCTURES.iter().any(|(_, range)| range.contains(&at)), "{at:#x}");
    }
}

fn usable(map: &MemoryMap) -> impl Iterator<Item = &E820Entry> {
    map.e820.iter().filter(|entry| entry.kind == E820Type::Ram)
}

/// The memory type of an address, by SDM 3A, "MTRR Precedence".
fn memory_type(msrs: &[(u32, u64)], address: u64) -> u8 {
    let read = |index| msrs.iter().find(|(of, _)| *of == index).map_or(0, |&(_, value)| value);
    let default = read(msr::MTRR_DEF_TYPE);
    if default >> 11 & 1 == 0 {
        return 0;
    }
    if address < MIB && default >> 10 & 1 == 1 {
        // 64 KiB ranges to 512 KiB, 16 KiB ranges to 768 KiB, then 4 KiB ranges; eight to a register.
        let (first, start, granule) = match address {
            0..0x8_0000 => (0x250, 0, 0x1_0000),
            0x8_0000..0xc_0000 => (0x258, 0x8_0000, 0x4000),
            _ => (0x268, 0xc_0000, 0x1000),
        };
        let range = (address - start) / granule;
        let (register, byte) = (u32::try_from(range / 8).unwrap(), usize::try_from(range % 8).unwrap());
        return read(first + register).to_le_bytes()[byte];
    }
    for range in (0x200..0x210).step_by(2) {
        let (base, mask) = (read(range), read(range + 1));
        let bits = mask & !0xfff;
        if mask >> 11 & 1 == 1 && address & bits == base & bits {
            return base.to_le_bytes()[0];
        }
    }
    default.to_le_bytes()[0]
}

#[test]
fn devices_are_uncacheable_and_memory_is_write_back() {
    let host = testing::haswell();
    for width in [36, 39] {
        let spec = format!("host,host-phys-bits=off,phys-bits={width}");
        let cpu = CpuProfile::resolve(&host, &spec.parse().unwrap(), &Topology::flat(1).unwrap()).unwrap();
        assert_eq!(cpu.physical_address_width(), width);
        let all = mtrrs(&cpu);
        assert_eq!(all.last().unwrap().0, msr::MTRR_DEF_TYPE, "on when the ranges are set");
        assert_eq!(
            all.iter().find(|(index, _)| *index == msr::MTRR_PHYSMASK0).unwrap().1,
            (1 << width) - GIB + 0x800
        );
        for address in [
            0,
            0x7_ffff,
            0x8_0000,
            0x9_ffff,
            0xc_0000,
            layout::SMBIOS_TABLES,
            layout::ACPI_TABLES,
            layout::SMBIOS_ENTRY,
            MIB - 1,
            MIB,
            layout::PCI_MMIO - 1,
            layout::RAM_ABOVE_4G,
            (1 << width) - 1,
        ] {
            assert_eq!(memory_type(&all, address), 6, "{address:#x}");
        }
        for address in [
            0xa_0000,
            0xb_ffff,
            layout::PCI_MMIO,
            layout::ECAM,
            layout::IOAPIC,
            layout::LAPIC,
            layout::RAM_ABOVE_4G - 1,
        ] {
            assert_eq!(memory_type(&all, address), 0, "{address:#x}");
        }
    }
}

/// KVM refuses a mask that has other bits than these, and Linux "fixes up" one that lacks some of them.
#[test]
fn mtrr_masks_are_as_wide_as_addresses() {
    for (width, mask) in
        [(32, 0xc000_0800), (36, 0xf_c000_0800), (46, 0x3fff_c000_0800), (52, 0xf_ffff_c000_0800)]
    {
        assert!(mtrr::msrs(width).contains(&(msr::MTRR_PHYSMASK0, mask)), "{width}");
    }
}

#[test]
fn a_cpu_without_mtrrs_has_none_to_set() {
    let cpu = CpuProfile::resolve(&testing::haswell(), &"486".parse().unwrap(), &Topology::flat(1).unwrap())
        .unwrap();
    assert_eq!(mtrrs(&cpu), []);
}
