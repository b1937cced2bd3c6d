use object::{
    Endianness,
    read::elf::{FileHeader, ProgramHeader},
};
use proptest::prelude::*;

use super::*;

type Core = elf::FileHeader64<Endianness>;

/// A program header's type, offset, addresses and sizes.
fn program_headers(core: &[u8]) -> Vec<(elf::ProgramType, u64, [u64; 2], [u64; 2])> {
    let header = Core::parse(core).unwrap();
    let endian = header.endian().unwrap();
    assert_eq!(header.e_type(endian), elf::ET_CORE);
    assert_eq!(header.e_machine(endian), elf::EM_X86_64);
    let headers = header.program_headers(endian, core).unwrap().iter().map(|header| {
        let addresses = [header.p_vaddr(endian), header.p_paddr(endian)];
        let sizes = [header.p_filesz(endian), header.p_memsz(endian)];
        (header.p_type(endian), header.p_offset(endian), addresses, sizes)
    });
    headers.collect()
}

/// Up to 20 ranges of pages, in order.
fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
    let steps = prop::collection::vec((0_u64..1 << 20, 1_u64..1 << 20), 0..20);
    steps.prop_map(|steps| {
        let mut end = 0;
        let range = |(gap, len): (u64, u64)| {
            let start = end + gap * 0x1000;
            end = start + len * 0x1000;
            start..end
        };
        steps.into_iter().map(range).collect()
    })
}

proptest! {
    #[test]
    fn every_range_and_the_notes_are_found_again(
        notes in prop::collection::vec(any::<u8>(), 0..20_000),
        ranges in ranges(),
    ) {
        let (head, len) = head(&notes, &physical_segments(&ranges)).unwrap();
        prop_assert!(head.len() as u64 <= len && len.is_multiple_of(0x1000));
        let headers = program_headers(&head);
        prop_assert_eq!(headers.len(), ranges.len() + 1);
        let (kind, offset, _, sizes) = headers[0];
        prop_assert_eq!((kind, sizes), (elf::PT_NOTE, [notes.len() as u64; 2]));
        prop_assert!(head[usize::try_from(offset).unwrap()..] == notes);
        let mut next = len;
        for (range, &(kind, offset, addresses, sizes)) in ranges.iter().zip(&headers[1..]) {
            prop_assert_eq!((kind, offset, addresses), (elf::PT_LOAD, next, [range.start; 2]));
            prop_assert_eq!(sizes, [range.end - range.start; 2]);
            next += range.end - range.start;
        }
    }
}

#[test]
fn a_segment_has_its_own_linear_address() {
    let segment =
        Segment { linear: 0xffff_ffff_8100_0000, physical: 0x100_0000, len: 0x2000, offset: 0x3000 };
    let (head, len) = head(&[], std::slice::from_ref(&segment)).unwrap();
    let expected = (elf::PT_LOAD, len + 0x3000, [segment.linear, segment.physical], [0x2000; 2]);
    assert_eq!(program_headers(&head)[1], expected);
}

#[test]
fn more_segments_than_a_header_counts_are_refused() {
    let segments = |count: usize| vec![Segment { linear: 0, physical: 0, len: 0x1000, offset: 0 }; count];
    assert!(head(&[], &segments(0xfffd)).is_ok());
    assert!(head(&[], &segments(0xfffe)).is_err());
}
