//! The beginning of an ELF core: its headers and notes. Memory follows.

use std::ops::Range;

use object::{
    LittleEndian, elf,
    endian::{U16, U32, U64},
    pod::bytes_of,
};

use super::super::error::InspectError;

/// The alignment of memory in the file: a page, which suits the host's file systems.
const ALIGNMENT: u64 = 4 << 10;
const LE: LittleEndian = LittleEndian;
const FILE_HEADER_LEN: u64 = size_of::<elf::FileHeader64<LittleEndian>>() as u64;
const PROGRAM_HEADER_LEN: u64 = size_of::<elf::ProgramHeader64<LittleEndian>>() as u64;

/// A part of a core's memory, with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The linear address.
    pub(super) linear: u64,
    /// The physical address.
    pub(super) physical: u64,
    /// The length in bytes.
    pub(super) len: u64,
    /// The offset from the beginning of the core's memory.
    pub(super) offset: u64,
}

impl Segment {
    /// Returns whether `next` directly follows this segment, by all of its addresses.
    pub(super) fn goes_on_at(&self, next: &Self) -> bool {
        let follows = |from: u64, to: u64| from.checked_add(self.len) == Some(to);
        follows(self.linear, next.linear)
            && follows(self.physical, next.physical)
            && follows(self.offset, next.offset)
    }
}

/// Segments for ranges of physical addresses. Their linear addresses are the same, as in QEMU's cores without paging: gdb uses linear
/// addresses, crash physical ones.
pub(super) fn physical_segments(ranges: &[Range<u64>]) -> Vec<Segment> {
    let mut offset = 0;
    let segment = |&Range { start, end }: &Range<u64>| {
        let segment = Segment { linear: start, physical: start, len: end - start, offset };
        offset += segment.len;
        segment
    };
    ranges.iter().map(segment).collect()
}

/// The beginning of a core with these notes and segments, and its length with padding.
///
/// # Errors
///
/// There are more segments than the header can count.
pub(super) fn head(notes: &[u8], segments: &[Segment]) -> Result<(Vec<u8>, u64), InspectError> {
    let count = u16::try_from(segments.len() + 1).ok().filter(|&count| count < elf::PN_XNUM);
    let count =
        count.ok_or_else(|| InspectError::Argument(format!("{} segments of memory", segments.len())))?;
    let notes_at = FILE_HEADER_LEN + u64::from(count) * PROGRAM_HEADER_LEN;
    let memory_at = (notes_at + notes.len() as u64).next_multiple_of(ALIGNMENT);

    let mut head = bytes_of(&file_header(count)).to_vec();
    let notes_segment = Segment { linear: 0, physical: 0, len: notes.len() as u64, offset: notes_at };
    head.extend(bytes_of(&program_header(elf::PT_NOTE, &notes_segment)));
    for segment in segments {
        let segment = Segment { offset: memory_at + segment.offset, ..*segment };
        head.extend(bytes_of(&program_header(elf::PT_LOAD, &segment)));
    }
    head.extend(notes);
    Ok((head, memory_at))
}

fn file_header(program_headers: u16) -> elf::FileHeader64<LittleEndian> {
    let size = |len: u64| U16::new(LE, u16::try_from(len).unwrap_or_default());
    elf::FileHeader64 {
        e_ident: elf::Ident {
            magic: elf::ELFMAG,
            class: elf::ELFCLASS64,
            data: elf::ELFDATA2LSB,
            version: elf::EV_CURRENT,
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(LE, elf::ET_CORE),
        e_machine: U16::new(LE, elf::EM_X86_64),
        e_version: U32::new(LE, elf::EV_CURRENT.0.into()),
        e_entry: U64::new(LE, 0),
        e_phoff: U64::new(LE, FILE_HEADER_LEN),
        e_shoff: U64::new(LE, 0),
        e_flags: U32::new(LE, elf::FileFlags(0)),
        e_ehsize: size(FILE_HEADER_LEN),
        e_phentsize: size(PROGRAM_HEADER_LEN),
        e_phnum: U16::new(LE, program_headers),
        e_shentsize: U16::new(LE, 0),
        e_shnum: U16::new(LE, 0),
        e_shstrndx: U16::new(LE, elf::SHN_UNDEF),
    }
}

/// The header of a segment at an offset in the file.
fn program_header(p_type: elf::ProgramType, segment: &Segment) -> elf::ProgramHeader64<LittleEndian> {
    let is_memory = p_type == elf::PT_LOAD;
    let flags = if is_memory { elf::PF_R | elf::PF_W | elf::PF_X } else { elf::ProgramFlags(0) };
    let &Segment { linear, physical, len, offset } = segment;
    elf::ProgramHeader64 {
        p_type: U32::new(LE, p_type),
        p_flags: U32::new(LE, flags),
        p_offset: U64::new(LE, offset),
        p_vaddr: U64::new(LE, linear),
        p_paddr: U64::new(LE, physical),
        p_filesz: U64::new(LE, len),
        p_memsz: U64::new(LE, len),
        p_align: U64::new(LE, 0),
    }
}

#[cfg(test)]
#[path = "elf_test.rs"]
mod tests;
