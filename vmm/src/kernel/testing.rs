//! Kernels for tests, of which every field can be made wrong.

use std::io::Write;

use linux_loader::loader::bootparam::setup_header;
use tempfile::NamedTempFile;
use vm_memory::ByteValued;

use super::{error::KernelError, formats, image::Image, source::Source};
use crate::size::Size;

pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_NOTE: u32 = 4;

/// An ELF file to be made.
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    pub(super) class: u8,
    pub(super) data: u8,
    pub(super) machine: u16,
    pub(super) entry: u64,
    pub(super) phoff: u64,
    pub(super) phentsize: u16,
    pub(super) headers: Vec<Header>,
    /// The rest of the file, by offset.
    pub(crate) contents: Vec<(usize, Vec<u8>)>,
}

/// A program header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: u32,
    pub(super) offset: u64,
    pub(super) paddr: u64,
    pub(super) filesz: u64,
    pub(super) memsz: u64,
    pub(super) align: u64,
}

impl Header {
    pub(super) fn load(offset: u64, paddr: u64, filesz: u64, memsz: u64) -> Self {
        Self { kind: PT_LOAD, offset, paddr, filesz, memsz, align: 0x1000 }
    }
}

impl Elf {
    /// A 64-bit kernel of one page of `hlt` at 1 MiB.
    pub(crate) fn new() -> Self {
        Self {
            class: 2,
            data: 1,
            machine: 62,
            entry: 0x10_0000,
            phoff: 64,
            phentsize: 56,
            headers: vec![Header::load(0x1000, 0x10_0000, 0x1000, 0x1000)],
            contents: vec![(0x1000, vec![0xf4; 0x1000])],
        }
    }

    pub(super) fn with(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }

    /// The same with a segment of notes.
    pub(super) fn with_notes(mut self, notes: &[u8], align: u64) -> Self {
        let len = notes.len() as u64;
        self.contents.push((0x2000, notes.to_vec()));
        self.with(Header { kind: PT_NOTE, offset: 0x2000, paddr: 0, filesz: len, memsz: len, align })
    }

    /// The same for 32 bits.
    pub(super) fn with_32_bits(self) -> Self {
        Self { class: 1, machine: 3, phoff: 52, phentsize: 32, ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let wide = self.class == 2;
        let word = |value: u64| {
            let bytes = value.to_le_bytes();
            if wide { bytes.to_vec() } else { bytes[..4].to_vec() }
        };
        let mut image = b"\x7fELF".to_vec();
        image.extend([self.class, self.data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
        image.extend(self.machine.to_le_bytes());
        image.extend(1_u32.to_le_bytes());
        [self.entry, self.phoff, 0].into_iter().for_each(|value| image.extend(word(value)));
        image.extend(0_u32.to_le_bytes());
        let count = u16::try_from(self.headers.len()).unwrap();
        for half in [if wide { 64 } else { 52 }, self.phentsize, count, 0, 0, 0] {
            image.extend(half.to_le_bytes());
        }
        let table: Vec<u8> = self
            .headers
            .iter()
            .flat_map(|header| {
                let Header { kind, offset, paddr, filesz, memsz, align } = *header;
                let flags = 5_u32.to_le_bytes().to_vec();
                let (before, after) = if wide { (flags, Vec::new()) } else { (Vec::new(), flags) };
                let words = |values: &[u64]| values.iter().flat_map(|value| word(*value)).collect::<Vec<_>>();
                let kind = kind.to_le_bytes().to_vec();
                [kind, before, words(&[offset, paddr, paddr, filesz, memsz]), after, word(align)].concat()
            })
            .collect();
        let table = (usize::try_from(self.phoff).unwrap(), table);
        for (at, bytes) in self.contents.iter().chain([&table]) {
            image.resize(image.len().max(at + bytes.len()), 0);
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        image
    }
}

/// An ELF note, padded to `align`.
pub(super) fn note(name: &[u8], kind: u32, desc: &[u8], align: usize) -> Vec<u8> {
    let mut note = Vec::new();
    for field in [name.len() + 1, desc.len()] {
        note.extend(u32::try_from(field).unwrap().to_le_bytes());
    }
    note.extend(kind.to_le_bytes());
    note.extend(name);
    note.push(0);
    note.resize(note.len().next_multiple_of(align), 0);
    note.extend(desc);
    note.resize(note.len().next_multiple_of(align), 0);
    note
}

/// Xen's note with the address of the PVH entry.
pub(super) fn pvh_note(entry: u32) -> Vec<u8> {
    note(b"Xen", 18, &entry.to_le_bytes(), 4)
}

/// A bzImage of `code` bytes after one setup sector beside the boot sector.
pub(super) fn bzimage(code: usize, change: impl Fn(&mut setup_header)) -> Vec<u8> {
    let mut header = setup_header {
        setup_sects: 1,
        boot_flag: 0xaa55,
        // To 26CH, where protocol 2.15 ends.
        jump: 0x6aeb,
        header: u32::from_le_bytes(*b"HdrS"),
        version: 0x020f,
        loadflags: 1,
        code32_start: 0x10_0000,
        syssize: u32::try_from(code / 16).unwrap(),
        initrd_addr_max: 0x7fff_ffff,
        kernel_alignment: 0x20_0000,
        relocatable_kernel: 1,
        xloadflags: 1,
        cmdline_size: 255,
        pref_address: 0x100_0000,
        init_size: 0x10_0000,
        ..Default::default()
    };
    change(&mut header);
    let mut image = vec![0; 1024];
    let bytes = header.as_slice();
    image[0x1f1..0x1f1 + bytes.len()].copy_from_slice(bytes);
    image.extend((0..code).map(|n| n.to_le_bytes()[0]));
    image
}

pub(crate) fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Reads an image from a file.
pub(super) fn read(bytes: &[u8]) -> Result<Image, KernelError> {
    let file = file(bytes);
    formats::read(&Source::open("--kernel", file.path(), Size(1 << 20))?)
}

/// The whole message of an error, as main prints it.
pub(super) fn message(error: KernelError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
