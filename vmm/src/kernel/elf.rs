//! ELF kernels: System V ABI, "Object Files". The PVH entry is Xen's, docs/misc/pvh.pandoc, "x86/HVM direct boot ABI".

use std::fs::File;

use arch::{
    boot::{Entry, Protocol},
    layout,
};
use object::{
    LittleEndian,
    elf::{self, FileHeader32, FileHeader64},
    read::{
        ReadCache,
        elf::{FileHeader, NoteIterator, ProgramHeader},
    },
};

use super::{
    image::{Image, ImageError, Segment, check_place},
    initramfs::Limit,
    source::Source,
};

const CLASS: usize = 4;
/// The limit for the length of the table, the same as Linux's for programs.
const PROGRAM_HEADERS_MAX: usize = 64 << 10;
/// The limit for the length of notes, far more than a kernel has.
const NOTES_MAX: u64 = 64 << 10;
/// The longest command line: Linux's own limit, as an ELF kernel does not state one.
const COMMAND_LINE_SIZE: usize = 2048;

/// The name and type of Xen's note with the address of the PVH entry: Xen, xen/include/public/elfnote.h, `XEN_ELFNOTE_PHYS32_ENTRY`.
const XEN: &[u8] = b"Xen";
const PHYS32_ENTRY: elf::NoteType = elf::NoteType(18);

const NOTHING_TO_LOAD: &str = "this ELF file has nothing to load, like an object file or a module";

/// Reads the headers of an ELF file that begins with `head`.
pub(super) fn read(head: &[u8], source: &Source) -> Result<Image, ImageError> {
    match head.get(CLASS).copied().map(elf::FileClass) {
        Some(elf::ELFCLASS32) => parse::<FileHeader32<LittleEndian>>(source),
        Some(elf::ELFCLASS64) => parse::<FileHeader64<LittleEndian>>(source),
        Some(_) => Err(ImageError::damaged("it is neither a 32-bit nor a 64-bit ELF file")),
        None => Err(damaged_header()),
    }
}

fn parse<Elf: FileHeader<Endian = LittleEndian>>(source: &Source) -> Result<Image, ImageError> {
    let cache = ReadCache::new(source.file());
    let header = Elf::parse(&cache).map_err(|_| damaged_header())?;
    let machine = header.endian().ok().map(|endian| header.e_machine(endian));
    let (Some(elf::EM_X86_64 | elf::EM_386), endian) = (machine, LittleEndian) else {
        return Err(ImageError::NotAKernel("this ELF file is not for x86"));
    };
    let program_headers = program_headers(header, &cache)?;

    let mut segments = Vec::new();
    let mut pvh = None;
    for (n, program_header) in program_headers.iter().enumerate() {
        match program_header.p_type(endian) {
            elf::PT_LOAD => segments.extend(segment(n, program_header, source.len())?),
            elf::PT_NOTE if pvh.is_none() => pvh = pvh_entry::<Elf>(program_header, source.file())?,
            _ => {}
        }
    }
    segments.sort_by_key(|segment| segment.address);
    let Some(end) = segments.iter().map(Segment::end).max() else {
        return Err(ImageError::NotAKernel(NOTHING_TO_LOAD));
    };
    if let Some(pair) = segments.windows(2).find(|pair| pair[0].end() > pair[1].address) {
        return Err(ImageError::damaged(format!("two segments overlap at {:#x}", pair[1].address)));
    }
    segments.iter().try_for_each(check_place)?;

    let entry = match pvh {
        Some(rip) => Entry { protocol: Protocol::Pvh, rip },
        None if header.is_type_64() && machine == Some(elf::EM_X86_64) => {
            Entry { protocol: Protocol::Linux64, rip: header.e_entry(endian).into() }
        }
        None => return Err(ImageError::NotAKernel("this is a 32-bit kernel without a PVH entry")),
    };
    if !segments.iter().any(|segment| segment.fills(entry.rip)) {
        return Err(ImageError::damaged(format!("its entry point {:#x} is in no segment", entry.rip)));
    }
    Ok(Image {
        entry,
        header: None,
        segments,
        end: end.max(layout::HIGH_RAM),
        initramfs: Limit { below: layout::PCI_MMIO, above_4g: false, why: "as an ELF kernel" },
        cmdline_max: COMMAND_LINE_SIZE - 1,
    })
}

/// The table of program headers, which may be anywhere in the file.
fn program_headers<'a, Elf: FileHeader<Endian = LittleEndian>>(
    header: &Elf,
    cache: &'a ReadCache<&File>,
) -> Result<&'a [Elf::ProgramHeader], ImageError> {
    let (len, right) = (header.e_phentsize(LittleEndian), size_of::<Elf::ProgramHeader>());
    let count = header.e_phnum(LittleEndian);
    if count == 0 {
        return Err(ImageError::NotAKernel(NOTHING_TO_LOAD));
    }
    if usize::from(len) != right {
        return Err(ImageError::damaged(format!("its program headers have {len} bytes, and not {right}")));
    }
    if usize::from(count) * right > PROGRAM_HEADERS_MAX {
        return Err(ImageError::damaged(format!("it claims {count} program headers")));
    }
    header
        .program_headers(LittleEndian, cache)
        .map_err(|_| ImageError::damaged("its program headers are not in the file"))
}

/// The segment of program header number `n`; none if it takes no memory.
fn segment<P: ProgramHeader<Endian = LittleEndian>>(
    n: usize,
    program_header: &P,
    len: u64,
) -> Result<Option<Segment>, ImageError> {
    let segment = Segment {
        offset: program_header.p_offset(LittleEndian).into(),
        file_len: program_header.p_filesz(LittleEndian).into(),
        address: program_header.p_paddr(LittleEndian).into(),
        memory_len: program_header.p_memsz(LittleEndian).into(),
    };
    let Segment { offset, file_len, address, memory_len } = segment;
    if file_len > memory_len {
        return Err(ImageError::damaged(format!(
            "segment {n} has {file_len} bytes in the file, and {memory_len} in memory"
        )));
    }
    if file_len > 0 && offset.checked_add(file_len).is_none_or(|end| end > len) {
        return Err(ImageError::damaged(format!(
            "segment {n} has {file_len} bytes from {offset} on, and the file has {len} in all"
        )));
    }
    if address.checked_add(memory_len).is_none() {
        return Err(ImageError::damaged(format!("segment {n} at {address:#x} ends past the last address")));
    }
    Ok((memory_len > 0).then_some(segment))
}

/// The address in Xen's note; none if it is not among these notes.
fn pvh_entry<Elf: FileHeader<Endian = LittleEndian>>(
    notes: &Elf::ProgramHeader,
    file: &File,
) -> Result<Option<u64>, ImageError> {
    if notes.p_filesz(LittleEndian).into() > NOTES_MAX {
        return Err(ImageError::damaged("its notes are too long"));
    }
    // A separate cache, because it keeps everything that was ever read.
    let cache = ReadCache::new(file);
    let data = notes
        .data(LittleEndian, &cache)
        .map_err(|()| ImageError::damaged("its notes are not in the file"))?;
    // The segment's alignment should count, but linkers put notes padded to 4 together with notes aligned to 8: try both.
    let entry = [notes.p_align(LittleEndian), Elf::Word::default()]
        .into_iter()
        .filter_map(|align| NoteIterator::<Elf>::new(LittleEndian, align, data).ok())
        .flat_map(|notes| notes.map_while(Result::ok))
        .find(|note| note.name() == XEN && note.n_type(LittleEndian) == PHYS32_ENTRY);
    match entry.map(|note| note.desc()) {
        None => Ok(None),
        Some(desc @ &[a, b, c, d, ref rest @ ..])
            if rest.iter().all(|&byte| byte == 0) && desc.len() <= 8 =>
        {
            Ok(Some(u32::from_le_bytes([a, b, c, d]).into()))
        }
        Some(desc) => {
            Err(ImageError::damaged(format!("its PVH entry is {desc:02x?}, and not a 32-bit address")))
        }
    }
}

fn damaged_header() -> ImageError {
    ImageError::damaged("its ELF header is not whole")
}

#[cfg(test)]
#[path = "elf_test.rs"]
mod tests;
