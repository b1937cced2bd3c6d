//! An ELF core of a machine, written by `dump-guest-memory`.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use object::Endianness;
use object::elf::{ET_CORE, FileHeader64, NT_PRSTATUS, PT_LOAD, ProgramHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::read::{ReadCache, ReadRef};

/// The offset of RIP in x86-64's `struct elf_prstatus`: registers begin at byte 112, of which it is the 17th.
const RIP: usize = 112 + 16 * 8;
/// The name of the note with the guest kernel's vmcoreinfo.
const VMCOREINFO: &[u8] = b"VMCOREINFO";

/// A core, of which only the requested parts are read.
#[derive(Debug)]
pub(crate) struct ElfCore {
    data: ReadCache<File>,
    endian: Endianness,
    segments: Vec<ProgramHeader64<Endianness>>,
}

/// The contents of a core's notes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Each vCPU's RIP.
    pub(crate) rips: Vec<u64>,
    /// The guest kernel's vmcoreinfo, if there is one.
    pub(crate) vmcoreinfo: Option<String>,
}

impl ElfCore {
    /// Opens the core at `path`.
    ///
    /// # Errors
    ///
    /// The file is not a core.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let data = ReadCache::new(file);
        let header = FileHeader64::<Endianness>::parse(&data)?;
        let endian = header.endian()?;
        let kind = header.e_type(endian);
        ensure!(kind == ET_CORE, "an ELF file of type {kind:?} is no core");
        let segments = header.program_headers(endian, &data)?.to_vec();
        Ok(Self { data, endian, segments })
    }

    /// Reads the notes.
    ///
    /// # Errors
    ///
    /// The notes are not valid ELF notes.
    pub(crate) fn notes(&self) -> anyhow::Result<Notes> {
        let mut found = Notes::default();
        for segment in &self.segments {
            let Some(mut notes) = segment.notes(self.endian, &self.data)? else { continue };
            while let Some(note) = notes.next()? {
                if note.name() == VMCOREINFO {
                    found.vmcoreinfo = Some(String::from_utf8_lossy(note.desc()).into_owned());
                } else if note.name() == b"CORE" && note.n_type(self.endian) == NT_PRSTATUS {
                    let rip = note.desc().get(RIP..).and_then(|rest| rest.first_chunk());
                    found.rips.push(u64::from_le_bytes(*rip.context("an NT_PRSTATUS without RIP")?));
                }
            }
        }
        Ok(found)
    }

    /// Reads memory at a linear address.
    ///
    /// # Errors
    ///
    /// No segment has that address, or the file is too short for the segment.
    pub(crate) fn memory(&self, address: u64, len: u64) -> anyhow::Result<&[u8]> {
        let offset = self.segments.iter().filter(|segment| segment.p_type(self.endian) == PT_LOAD).find_map(
            |segment| {
                let into = address.checked_sub(segment.p_vaddr(self.endian))?;
                let end = into.checked_add(len)?;
                (end <= segment.p_filesz(self.endian)).then(|| segment.p_offset(self.endian) + into)
            },
        );
        let offset = offset.with_context(|| format!("no segment has {address:#x}"))?;
        (&self.data)
            .read_bytes_at(offset, len)
            .map_err(|()| anyhow!("the file ends before what is at {address:#x}"))
    }
}

#[cfg(test)]
#[path = "elf_core_test.rs"]
mod tests;
