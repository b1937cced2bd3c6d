use proptest::prelude::*;

use super::*;

const RAM: u64 = 16 << 20;
const CR0_PE: u64 = 1;
/// A PCID and LAM's bits, which are no part of the address.
const NO_ADDRESS: u64 = 0x18 | 0b11 << 61;
const WRITABLE: u64 = 1 << 1;
const TABLE: u64 = PRESENT | WRITABLE;
const LARGE: u64 = PRESENT | PAGE_SIZE;

fn memory(entries: &[(u64, u64)]) -> GuestRam {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), usize::try_from(RAM).unwrap())]).unwrap();
    entries.iter().for_each(|&(at, entry)| memory.write_obj(entry, GuestAddress(at)).unwrap());
    memory
}

fn memory_32(entries: &[(u64, u32)]) -> GuestRam {
    let memory = memory(&[]);
    entries.iter().for_each(|&(at, entry)| memory.write_obj(entry, GuestAddress(at)).unwrap());
    memory
}

fn paging(cr3: u64, cr4: u64, efer: u64) -> Paging {
    Paging::of(&kvm_sregs { cr0: CR0_PG | CR0_PE, cr3, cr4, efer, ..Default::default() })
}

fn four_levels(cr3: u64) -> Paging {
    paging(cr3, CR4_PAE, EFER_LMA | EFER_NXE)
}

fn physical(address: u64, len: u64) -> Option<Physical> {
    Some(Physical { address, len })
}

/// Every page, by its first linear address.
fn pages(paging: &Paging, memory: &GuestRam) -> Vec<(u64, Physical)> {
    let mut found = Vec::new();
    let mut entries = paging.entries(memory);
    while let Some((linear, entry)) = entries.pop() {
        match entry {
            Entry::Table(table) => {
                let below = table.entries(memory).into_iter();
                entries.extend(below.map(|(distance, entry)| (linear + distance, entry)));
            }
            Entry::Page(page) => found.push((linear, page)),
        }
    }
    found.sort_unstable_by_key(|&(linear, _)| linear);
    found
}

/// Checks that both ways of following tables find the same.
fn check(paging: &Paging, memory: &GuestRam, expected: &[(u64, Physical)]) {
    assert_eq!(pages(paging, memory), expected);
    for &(linear, Physical { address, len }) in expected {
        assert_eq!(paging.translate(linear, memory), physical(address, len));
        assert_eq!(paging.translate(linear + len - 1, memory), physical(address + len - 1, 1));
        assert_eq!(paging.translate(linear + 0xabc, memory), physical(address + 0xabc, len - 0xabc));
    }
}

fn page(linear: u64, address: u64, len: u64) -> (u64, Physical) {
    (linear, Physical { address, len })
}

#[test]
fn without_paging_linear_addresses_are_physical_ones() {
    let off = Paging::of(&kvm_sregs { cr0: CR0_PE, cr3: 0x1000, cr4: CR4_PAE, ..Default::default() });
    let memory = memory(&[]);
    assert_eq!(off.translate(0x1234, &memory), physical(0x1234, END_32_BIT - 0x1234));
    assert_eq!(off.translate(END_32_BIT - 1, &memory), physical(END_32_BIT - 1, 1));
    assert_eq!(off.translate(END_32_BIT, &memory), None);
    assert!(off.entries(&memory).is_empty() && !off.is_pae());
}

#[test]
fn tables_of_32_bit_paging_have_1024_entries_of_4_bytes() {
    let memory = memory_32(&[
        (0x1000, 0x2007),
        (0x1000 + 0x3ff * 4, 0x2007),
        (0x2000 + 4, 0x5007),
        (0x2000 + 0x3ff * 4, 0x0080_0007),
        // With PSE, 4 MiB from 0x12_0040_0000 on. Without, a table there below 4 GiB.
        (0x1000 + 4 * 4, 0x0040_0000 | 0x12 << 13 | 0x87),
        // The same with a bit that is reserved.
        (0x1000 + 5 * 4, 0x0040_0000 | 1 << 21 | 0x87),
    ]);
    let small = [
        page(0x1000, 0x5000, 0x1000),
        page(0x3f_f000, 0x80_0000, 0x1000),
        page(0xffc0_1000, 0x5000, 0x1000),
        page(0xffff_f000, 0x80_0000, 0x1000),
    ];
    check(&paging(0x1000 | NO_ADDRESS, 0, 0), &memory, &small);
    let large = page(0x100_0000, 0x12_0040_0000, 4 << 20);
    let with_large = [small[0], small[1], large, small[2], small[3]];
    let with_pse = paging(0x1000, CR4_PSE, 0);
    check(&with_pse, &memory, &with_large);
    assert_eq!(with_pse.translate(0x2000, &memory), None);
    assert_eq!(with_pse.translate(END_32_BIT | 0x1000, &memory), None, "it has no such address");
}

#[test]
fn pae_paging_has_four_entries_at_the_top() {
    // Not at the beginning of a page.
    let memory = memory(&[
        (0x1020, 0x2001),
        (0x1038, 0x2001),
        (0x2000, 0x3007),
        (0x2000 + 8, 0xa0_0000 | 0x87),
        (0x3000 + 0x1ff * 8, 0x5003 | EXECUTE_DISABLE),
        // Reserved: of a large page's address, of what is above addresses, and of both.
        (0x2000 + 2 * 8, 0xa0_2000 | 0x87),
        (0x2000 + 3 * 8, 0x3007 | 1 << 52),
        (0x3000, 0x5003 | 1 << 62),
        // No PDPTE: there are four.
        (0x1040, 0x2001),
    ]);
    let expected = [
        page(0x1f_f000, 0x5000, 0x1000),
        page(0x20_0000, 0xa0_0000, 2 << 20),
        page(0xc01f_f000, 0x5000, 0x1000),
        page(0xc020_0000, 0xa0_0000, 2 << 20),
    ];
    let pae = paging(0x1020 | 0x1f, CR4_PAE, EFER_NXE);
    assert!(pae.is_pae());
    check(&pae, &memory, &expected);
    assert_eq!(pae.translate(END_32_BIT | 0x1f_f000, &memory), None);
    // Without NXE, bit 63 is reserved, too.
    assert_eq!(paging(0x1020, CR4_PAE, 0).translate(0x1f_f000, &memory), None);
    // A PDPTE that the processor would not load.
    for reserved in [1 << 1, 1 << 5, 1 << 8, 1 << 52, 1 << 63] {
        memory.write_obj(0x2001_u64 | reserved, GuestAddress(0x1020)).unwrap();
        assert_eq!(pae.translate(0x1f_f000, &memory), None, "{reserved:#x}");
    }
}

#[test]
fn pdpte_registers_count_and_not_what_memory_holds_since() {
    let memory = memory(&[(0x1000, 0x2001), (0x2000, LARGE), (0x3000, 0x20_0000 | LARGE)]);
    let pae = paging(0x1000, CR4_PAE, 0);
    check(&pae, &memory, &[page(0, 0, 2 << 20)]);
    let loaded = pae.with_pdptes([0, 0x3001, 0, 0x2001]);
    check(&loaded, &memory, &[page(0x4000_0000, 0x20_0000, 2 << 20), page(0xc000_0000, 0, 2 << 20)]);
    assert_eq!(loaded.translate(0, &memory), None);
    // Other modes have none.
    assert_eq!(four_levels(0x1000).with_pdptes([1; 4]), four_levels(0x1000));
}

#[test]
fn four_levels_have_pages_of_three_sizes() {
    let memory = memory(&[
        (0x1000, 0x2000 | TABLE),
        (0x1000 + 0x1ff * 8, 0x3000 | TABLE),
        (0x2000, 0x4000_0000 | LARGE | LARGE_PAT),
        (0x3000 + 0x1fe * 8, 0x4000 | TABLE),
        (0x4000 + 8 * 8, 0x20_0000 | LARGE | LARGE_PAT | EXECUTE_DISABLE),
        (0x4000 + 9 * 8, 0x5000 | PRESENT),
        // Bits 62:52 are the guest's own, bit 7 of the last level is PAT.
        (0x5000, 0x60_0000 | PRESENT | PAGE_SIZE | 0x7ff << 52),
        // Not present, reserved bits, and tables that are not in RAM.
        (0x5000 + 8, 0x61_0000 | WRITABLE),
        (0x1000 + 8, 0x2000 | TABLE | PAGE_SIZE),
        (0x2000 + 8, 0x4000_2000 | LARGE),
        (0x4000 + 10 * 8, 0x20_2000 | LARGE),
        (0x4000 + 11 * 8, RAM | TABLE),
        (0x4000 + 12 * 8, 0x000f_ffff_ffff_f000 | TABLE),
    ]);
    let kernel = 0xffff_ffff_8000_0000;
    let expected = [
        page(0, 0x4000_0000, 1 << 30),
        page(kernel + 8 * 0x20_0000, 0x20_0000, 2 << 20),
        page(kernel + 9 * 0x20_0000, 0x60_0000, 0x1000),
    ];
    check(&four_levels(0x1000 | NO_ADDRESS), &memory, &expected);
    // Without NXE, bit 63 is reserved.
    let without = paging(0x1000, CR4_PAE, EFER_LMA);
    check(&without, &memory, &[expected[0], expected[2]]);
    for beyond in [1 << 47, 1 << 63, kernel & !(1 << 47), 0xffff_7fff_ffff_ffff] {
        assert_eq!(without.translate(beyond, &memory), None, "{beyond:#x} is not canonical");
    }
    check(&four_levels(RAM), &memory, &[]);
    assert_eq!(four_levels(0x000f_ffff_ffff_f000).translate(0, &memory), None);
}

#[test]
fn five_levels_have_57_bits() {
    let memory = memory(&[
        (0x1000 + 0x100 * 8, 0x2000 | TABLE),
        (0x1000 + 8, 0x2000 | TABLE),
        (0x1000 + 16, 0x2000 | TABLE | PAGE_SIZE),
        (0x2000, 0x3000 | TABLE),
        (0x3000, 0x4000 | TABLE),
        (0x4000 + 8, 0x20_0000 | LARGE),
    ]);
    let five = paging(0x1000, CR4_PAE | CR4_LA57, EFER_LMA);
    let expected =
        [page(0x0001_0000_0020_0000, 0x20_0000, 2 << 20), page(0xff00_0000_0020_0000, 0x20_0000, 2 << 20)];
    check(&five, &memory, &expected);
    assert_eq!(five.translate(0x0100_0000_0020_0000, &memory), None, "it is not canonical");
}

#[test]
fn tables_that_name_each_other_end_with_the_last_level() {
    let memory = memory(&[(0x1000, 0x1000 | TABLE), (0x1000 + 8, 0x1000 | TABLE)]);
    let paging = four_levels(0x1000);
    assert_eq!(paging.translate(0x1234, &memory), physical(0x1234, 0xdcc));
    assert_eq!(pages(&paging, &memory).len(), 16);
}

proptest! {
    /// Nothing in memory or in registers makes it panic, and both ways of following tables agree.
    #[test]
    fn any_tables_are_followed(
        entries in proptest::collection::vec((0_u64..0x800, any::<u64>(), 0_u64..4), 0..40),
        (cr3, cr4, efer) in (any::<u64>(), any::<u64>(), any::<u64>()),
        pdptes in proptest::option::of(any::<[u64; 4]>()),
        linear in any::<u64>(),
    ) {
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), 0x4000)]).unwrap();
        for (slot, bits, table) in entries {
            // Present, and mostly one of the four tables.
            let entry = if bits & 2 == 0 { bits & 0x7ff | 1 | table << 12 } else { bits | 1 };
            ram.write_obj(entry, GuestAddress(slot * 8)).unwrap();
        }
        let mut paging = paging(cr3 & 0x3fff, cr4, efer);
        if let Some(pdptes) = pdptes {
            paging = paging.with_pdptes(pdptes.map(|pdpte| pdpte & 0x3fff));
        }
        let _ = paging.translate(linear, &ram);
        for (linear, entry) in paging.entries(&ram) {
            if let Entry::Page(Physical { address, len }) = entry {
                prop_assert_eq!(paging.translate(linear, &ram), physical(address, len));
            }
        }
    }
}
