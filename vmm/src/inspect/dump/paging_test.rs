use kvm_bindings::{kvm_regs, kvm_sregs};
use vm_memory::{Bytes, GuestAddress};

use super::*;

const RAM: u64 = 16 << 20;
const PRESENT: u64 = 1;
const PAGE_SIZE: u64 = 1 << 7;
/// Present entries of tables and pages.
const TABLE: u64 = PRESENT;
const LARGE: u64 = PRESENT | PAGE_SIZE;

fn memory(entries: &[(u64, u64)]) -> GuestRam {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), usize::try_from(RAM).unwrap())]).unwrap();
    entries.iter().for_each(|&(at, entry)| memory.write_obj(entry, GuestAddress(at)).unwrap());
    memory
}

/// A vCPU in IA-32e mode, with EFER.NXE, and with these tables.
fn vcpu(cr3: u64, cr4: u64) -> Registers {
    protected(cr3, cr4, 0xd00)
}

/// A vCPU with paging.
fn protected(cr3: u64, cr4: u64, efer: u64) -> Registers {
    let system = kvm_sregs { cr0: 1 << 31 | 1, cr3, cr4, efer, ..Default::default() };
    Registers::of(kvm_regs::default(), system)
}

/// Linear and physical addresses, and lengths.
fn found(vcpus: &[Registers], memory: &GuestRam) -> Vec<(u64, u64, u64)> {
    let whole = 0..RAM;
    let segments = segments(vcpus, memory, std::slice::from_ref(&whole), &|| false).unwrap();
    assert!(segments.iter().all(|segment| segment.offset == segment.physical));
    segments.into_iter().map(|Segment { linear, physical, len, .. }| (linear, physical, len)).collect()
}

#[test]
fn pages_of_every_size_are_found_and_merged() {
    let memory = memory(&[
        // The kernel's last 2 GiB, and a GiB at 0, of which 16 MiB are RAM.
        (0x1000 + 511 * 8, 0x2000 | TABLE),
        (0x1000, 0x3000 | TABLE),
        (0x2000 + 510 * 8, 0x4000 | TABLE),
        (0x3000, LARGE),
        // Large pages of 2 MiB in sequence, and small pages.
        (0x4000 + 8 * 8, 0x20_0000 | LARGE),
        (0x4000 + 9 * 8, 0x40_0000 | LARGE),
        (0x4000 + 10 * 8, 0x5000 | TABLE),
        (0x5000, 0x60_0000 | PRESENT),
        (0x5000 + 8, 0x70_0000 | PRESENT | 1 << 63),
        // Not present, and not RAM.
        (0x5000 + 16, 0x71_0000),
        (0x5000 + 24, 0xfee0_0000 | PRESENT),
    ]);
    let kernel = 0xffff_ffff_8000_0000;
    let expected = [
        (0, 0, RAM),
        (kernel + 8 * 0x20_0000, 0x20_0000, 0x40_1000),
        (kernel + 10 * 0x20_0000 + 0x1000, 0x70_0000, 0x1000),
    ];
    assert_eq!(found(&[vcpu(0x1000 | 0x18, 0)], &memory), expected);
}

#[test]
fn five_levels_are_followed() {
    let memory = memory(&[
        (0x1000 + 256 * 8, 0x2000 | TABLE),
        (0x2000, 0x3000 | TABLE),
        (0x3000, 0x4000 | TABLE),
        (0x4000 + 8, 0x20_0000 | LARGE),
    ]);
    let expected = [(0xff00_0000_0020_0000, 0x20_0000, 0x20_0000)];
    assert_eq!(found(&[vcpu(0x1000, 1 << 12)], &memory), expected);
}

#[test]
fn tables_in_a_circle_and_outside_of_ram_end() {
    let own = memory(&[(0x1000 + 8, 0x1000 | TABLE), (0x1000 + 16, RAM | TABLE)]);
    // Windows' way: the table maps itself, once by each level.
    let mapped = found(&[vcpu(0x1000, 0)], &own);
    assert_eq!(mapped, [((1 << 39) + (1 << 30) + (1 << 21) + 0x1000, 0x1000, 0x1000)]);
    assert_eq!(found(&[vcpu(RAM, 0)], &own), []);
}

#[test]
fn addresses_mapped_by_several_vcpus_are_the_first_ones() {
    let memory = memory(&[
        (0x1000, 0x3000 | TABLE),
        (0x2000, 0x4000 | TABLE),
        (0x2000 + 8, 0x3000 | TABLE),
        (0x3000, 0x5000 | TABLE),
        (0x5000, 0x20_0000 | LARGE),
    ]);
    assert_eq!(found(&[vcpu(0x1000, 0), vcpu(0x2000, 0)], &memory), [(0, 0x20_0000, 0x20_0000)]);
    // Without paging, and a nested guest's.
    let none = Registers::of(kvm_regs::default(), kvm_sregs::default());
    assert_eq!(found(&[none, vcpu(0x1000, 0).in_nested_guest()], &memory), []);
}

#[test]
fn tables_of_32_bits_and_of_pae_are_followed() {
    // Entries of 4 bytes: the table at 0x2000, and with PSE a page at 8 MiB. The table's pages are not adjacent.
    let entries = [(0x1000, 0x0080_0087_0000_2007), (0x2000, 0x5007_0000_7007)];
    let of_32_bits = [(0, 0x7000, 0x1000), (0x1000, 0x5000, 0x1000), (4 << 20, 8 << 20, 4 << 20)];
    assert_eq!(found(&[protected(0x1000, 1 << 4, 0)], &memory(&entries)), of_32_bits);

    let pae = memory(&[(0x1018, 0x2000 | TABLE), (0x2000 + 8, 0x20_0000 | LARGE)]);
    assert_eq!(found(&[protected(0x1000, 1 << 5, 0)], &pae), [(0xc020_0000, 0x20_0000, 0x20_0000)]);
}

#[test]
fn more_mappings_than_a_core_has_are_refused() {
    let whole = 0..RAM;
    let ranges = std::slice::from_ref(&whole);
    // Pages in descending order can't be merged.
    let memory = memory(&[(0x1000, 0x2000 | TABLE), (0x2000, 0x3000 | TABLE)]);
    for table in 0..512 {
        let at = 0x10_0000 + table * 0x1000;
        memory.write_obj(at | TABLE, GuestAddress(0x3000 + table * 8)).unwrap();
        for page in 0..512 {
            memory.write_obj((511 - page) << 12 | PRESENT, GuestAddress(at + page * 8)).unwrap();
        }
    }
    let refused = segments(&[vcpu(0x1000, 0)], &memory, ranges, &|| false).unwrap_err().to_string();
    assert!(refused.contains("more than 65000 ranges"), "{refused}");
    let stopped = segments(&[vcpu(0x1000, 0)], &memory, ranges, &|| true);
    assert!(matches!(stopped, Err(InspectError::Stopped)));
}
