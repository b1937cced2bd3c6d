use arch::{
    boot::{Entry, Protocol},
    layout,
};
use proptest::prelude::*;

use super::super::{
    image::Segment,
    testing::{Elf, Header, PT_NOTE, message, note, pvh_note, read},
};

fn error(elf: &Elf) -> String {
    message(read(&elf.bytes()).unwrap_err())
}

fn pvh(rip: u64) -> Entry {
    Entry { protocol: Protocol::Pvh, rip }
}

#[test]
fn without_a_note_the_64_bit_entry_counts() {
    let image = read(&Elf::new().bytes()).unwrap();
    assert_eq!(image.entry, Entry { protocol: Protocol::Linux64, rip: 0x10_0000 });
    let page = Segment { offset: 0x1000, file_len: 0x1000, address: 0x10_0000, memory_len: 0x1000 };
    assert_eq!((image.segments.as_slice(), image.end), ([page].as_slice(), 0x10_1000));
}

#[test]
fn a_note_gives_the_pvh_entry_also_to_32_bit_kernels() {
    let elf = Elf::new().with_notes(&pvh_note(0x10_0010), 4);
    assert_eq!(read(&elf.bytes()).unwrap().entry, pvh(0x10_0010));
    let elf = elf.with_32_bits();
    assert_eq!(read(&elf.bytes()).unwrap().entry, pvh(0x10_0010));
    assert!(error(&Elf::new().with_32_bits()).contains("32-bit kernel without a PVH entry"));
}

#[test]
fn notes_are_found_however_they_are_padded() {
    let salt = note(b"Linux", 0x101, &[0], 4);
    let build_id = note(b"GNU", 3, &[0x11; 20], 4);
    let property = note(b"GNU", 5, &[0; 16], 8);
    let wide = note(b"Xen", 18, &0x10_0010_u64.to_le_bytes(), 4);
    let cases: [(&[&[u8]], u64); 7] = [
        (&[&build_id, &salt, &pvh_note(0x10_0010)], 4),
        (&[&pvh_note(0x10_0010), &build_id], 4),
        (&[&build_id, &pvh_note(0x10_0010)], 0),
        (&[&build_id, &pvh_note(0x10_0010)], 1),
        (&[&property, &build_id, &salt, &pvh_note(0x10_0010)], 8),
        (&[&note(b"GNU", 3, &[0x11; 20], 8), &note(b"Xen", 18, &0x10_0010_u32.to_le_bytes(), 8)], 8),
        (&[&wide], 4),
    ];
    for (notes, align) in cases {
        let image = read(&Elf::new().with_notes(&notes.concat(), align).bytes()).unwrap();
        assert_eq!(image.entry, pvh(0x10_0010), "{notes:02x?}, aligned to {align}");
    }
    for other in [note(b"Xen", 6, &[0; 4], 4), note(b"Xem", 18, &[0; 4], 4), vec![0xff; 40], vec![0; 3]] {
        let image = read(&Elf::new().with_notes(&other, 4).bytes()).unwrap();
        assert_eq!(image.entry.protocol, Protocol::Linux64, "{other:02x?}");
    }
    let long = Elf::new().with_notes(&note(b"Xen", 18, &(1_u64 << 32 | 0x10_0010).to_le_bytes(), 4), 4);
    assert!(error(&long).contains("not a 32-bit address"));
}

#[test]
fn program_headers_can_be_anywhere() {
    for phoff in [0x800, 0x2_0000, 0x2_0001] {
        let elf = Elf { phoff, ..Elf::new() }.with_notes(&pvh_note(0x10_0000), 4);
        assert_eq!(read(&elf.bytes()).unwrap().entry, pvh(0x10_0000), "at {phoff:#x}");
    }
}

#[test]
fn memory_without_file_content_belongs_to_the_kernel() {
    let bss = Elf::new().with(Header::load(0, 0x20_0000, 0, 0x200_0000));
    assert_eq!(read(&bss.bytes()).unwrap().end, 0x220_0000);
    let longer = Elf { headers: vec![Header::load(0x1000, 0x10_0000, 0x1000, 0x5000)], ..Elf::new() };
    assert_eq!(read(&longer.bytes()).unwrap().end, 0x10_5000);
    let unsorted =
        Elf::new().with(Header::load(0, 0x900_0000, 0, 16)).with(Header::load(0, 0x20_0000, 0, 16));
    assert_eq!(read(&unsorted.bytes()).unwrap().end, 0x900_0010);
}

#[test]
fn segments_of_nothing_are_ignored_wherever_they_are() {
    for address in [0, layout::ZERO_PAGE, 0x10_0800, 1 << 40, u64::MAX] {
        let image = read(&Elf::new().with(Header::load(1 << 50, address, 0, 0)).bytes()).unwrap();
        assert_eq!((image.segments.len(), image.end), (1, 0x10_1000), "{address:#x}");
    }
}

#[test]
fn below_1_mib_there_is_room_beside_what_nvmm_needs() {
    let free = Elf::new().with(Header::load(0x1000, 0x1_0000, 0x1000, 0x1_0000));
    assert_eq!(read(&free.bytes()).unwrap().end, 0x10_1000);
    let only = Elf { entry: 0x4_0000, headers: vec![Header::load(0x1000, 0x4_0000, 0x1000, 0x1000)], ..free };
    assert_eq!(read(&only.bytes()).unwrap().end, layout::HIGH_RAM, "for the initramfs");
    for (what, taken) in layout::BOOT_STRUCTURES {
        for (start, len) in [(taken.start, 1), (taken.end - 1, 1)] {
            let error = error(&Elf::new().with(Header::load(0, start, 0, len)));
            let expected = format!(
                "its segment at {start:#x} to {:#x} would lie over the {what}, which nvmm puts at {:#x} to",
                start + len - 1,
                taken.start
            );
            assert!(error.contains(&expected), "{error}");
        }
    }
}

#[test]
fn contradictory_headers_are_damaged() {
    let load = |header| Elf::new().with(header);
    let notes =
        |offset, filesz| load(Header { kind: PT_NOTE, offset, paddr: 0, filesz, memsz: filesz, align: 4 });
    let cases = [
        (load(Header::load(0, 0x20_0000, 0x10, 0xf)), "16 bytes in the file, and 15 in memory"),
        (load(Header::load(0, 0x20_0000, 0x10, 0)), "16 bytes in the file, and 0 in memory"),
        (load(Header::load(0x1fff, 0x20_0000, 2, 2)), "segment 1 has 2 bytes from 8191 on"),
        (load(Header::load(u64::MAX, 0x20_0000, 1, 1)), "and the file has 8192 in all"),
        (load(Header::load(0, u64::MAX, 0, 1 << 20)), "ends past the last address"),
        (load(Header::load(0, 0x10_0fff, 0, 2)), "two segments overlap at 0x100fff"),
        (load(Header::load(0x1000, 0x10_0000, 1, 1)), "two segments overlap"),
        (Elf { entry: 0x10_1000, ..Elf::new() }, "entry point 0x101000 is in no segment"),
        (Elf { entry: 0, ..Elf::new() }, "entry point 0x0 is in no segment"),
        (Elf::new().with_notes(&pvh_note(0x20_0000), 4), "entry point 0x200000 is in no segment"),
        (Elf { phentsize: 57, ..Elf::new() }, "program headers have 57 bytes, and not 56"),
        (Elf { phentsize: 0, ..Elf::new() }, "program headers have 0 bytes"),
        (Elf { headers: vec![Header::load(0, 0, 0, 0); 2000], ..Elf::new() }, "claims 2000 program headers"),
        (notes(0x1fff, 16), "its notes are not in the file"),
        (notes(0, 1 << 30), "its notes are too long"),
        (Elf::new().with_notes(&note(b"Xen", 18, &[1, 2], 4), 4), "PVH entry is [01, 02]"),
        (Elf { class: 7, ..Elf::new() }, "neither a 32-bit nor a 64-bit"),
    ];
    for (elf, expected) in cases {
        let error = error(&elf);
        assert!(error.contains("truncated or damaged") && error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn other_elf_files_are_refused_by_their_kind() {
    let cases = [
        (Elf { machine: 183, ..Elf::new() }, "not for x86"),
        (Elf { data: 2, ..Elf::new() }, "not for x86"),
        (Elf { headers: Vec::new(), ..Elf::new() }, "nothing to load"),
        (Elf { headers: vec![Header::load(0, 0x10_0000, 0, 0)], ..Elf::new() }, "nothing to load"),
    ];
    for (elf, expected) in cases {
        let error = error(&elf);
        assert!(error.contains(expected) && error.contains("give a bzImage"), "{expected}: {error}");
    }
}

#[test]
fn truncated_files_are_named_so_at_every_length() {
    let bytes = Elf { phoff: 0x1800, ..Elf::new() }.bytes();
    for len in (4..0x100).chain([0xfff, 0x1000, 0x17ff, 0x1837, 0x1838, 0x1fff]) {
        let error = message(read(&bytes[..len]).unwrap_err());
        assert!(error.contains("truncated"), "{len:#x}: {error}");
    }
}

proptest! {
    /// Any headers must be handled without a panic, and the accepted values must hold.
    #[test]
    fn mutated_headers_are_refused_or_right(
        wide in any::<bool>(),
        changes in prop::collection::vec((0_usize..0x1b8, any::<u8>()), 1..6),
        words in prop::collection::vec((0_usize..0x38, prop::sample::select(vec![
            0, 1, 0xff, 0x1000, 0x10_0000, 0xffff_ffff, 1 << 32, 1 << 63, u64::MAX - 0xfff, u64::MAX,
        ])), 0..3),
    ) {
        let elf = Elf::new()
            .with(Header::load(0x1000, 0x20_0000, 0x800, 0x8000))
            .with_notes(&[note(b"GNU", 3, &[0x11; 20], 4), pvh_note(0x10_0000)].concat(), 4);
        let mut bytes = if wide { elf } else { elf.with_32_bits() }.bytes();
        for (at, word) in words {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&u64::to_le_bytes(word));
        }
        for (at, byte) in changes {
            // The last of them are in the notes.
            bytes[if at < 0x180 { at } else { 0x2000 + at - 0x180 }] = byte;
        }
        if let Ok(image) = read(&bytes) {
            let mut last = 0;
            for segment in &image.segments {
                prop_assert!(segment.offset + segment.file_len <= bytes.len() as u64 || segment.file_len == 0);
                prop_assert!(segment.file_len <= segment.memory_len && segment.address >= last);
                last = segment.address.checked_add(segment.memory_len).unwrap();
            }
            prop_assert_eq!(image.end, last.max(layout::HIGH_RAM));
            prop_assert!(image.segments.iter().any(|segment| segment.fills(image.entry.rip)));
        }
    }
}
