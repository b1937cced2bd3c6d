//! Tables as firmware reads them: QEMU's BIOS linker/loader interface (`hw/acpi/bios-linker-loader.c`).
//!
//! Firmware allocates memory for two files, and follows a script that says where they point to each other and which checksums to make.
//! SeaBIOS and OVMF know it.

use zerocopy::{Immutable, IntoBytes, Unaligned, little_endian::U32};

use super::unplaced::{ALIGN, Part, Step, Unplaced, number};

const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;

/// Zone for an allocation: anywhere below 4 GiB.
const HIGH: u8 = 1;
/// Zone for an allocation: F0000H to FFFFFH, where ACPI 6.5, "Finding the RSDP on IA-PC Systems", has the OS look.
const F_SEGMENT: u8 = 2;
const RSDP_ALIGN: u32 = 16;
/// Length of the generation ID's memory: a page of its own. All of it is zeros at first, so that OVMF does not take it for a table, and
/// keeps it.
const GENERATION_LEN: u32 = 4 << 10;

/// Files that firmware makes the tables from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The RSDP.
    pub rsdp: Vec<u8>,
    /// All other tables.
    pub tables: Vec<u8>,
    /// Memory for the VM generation ID; empty if there is none.
    pub generation: Vec<u8>,
    /// The script.
    pub loader: Vec<u8>,
}

impl Files {
    /// Name of the file with the RSDP.
    pub const RSDP: &str = "etc/acpi/rsdp";
    /// Name of the file with all other tables.
    pub const TABLES: &str = "etc/acpi/tables";
    /// Name of the file for the VM generation ID.
    pub const GENERATION: &str = "etc/vmgenid_guid";
    /// Name of the script.
    pub const LOADER: &str = "etc/table-loader";

    pub(super) fn new(tables: Unplaced) -> Self {
        let Unplaced { rsdp, tables, steps } = tables;
        let mut loader = Vec::new();
        loader.extend(Allocate::new(Self::RSDP, RSDP_ALIGN, F_SEGMENT).as_bytes());
        loader.extend(Allocate::new(Self::TABLES, ALIGN, HIGH).as_bytes());
        let leads_there = |step: &Step| matches!(step, Step::Pointer { to: Part::Generation, .. });
        let generation =
            if steps.iter().any(leads_there) { vec![0; GENERATION_LEN as usize] } else { vec![] };
        if !generation.is_empty() {
            loader.extend(Allocate::new(Self::GENERATION, GENERATION_LEN, HIGH).as_bytes());
        }
        for step in steps {
            match step {
                Step::Pointer { part, at, size, to } => {
                    loader.extend(AddPointer::new(part.file(), to.file(), at, size).as_bytes());
                }
                Step::Checksum { part, at, start, len } => {
                    loader.extend(AddChecksum::new(part.file(), at, start, len).as_bytes());
                }
            }
        }
        Self { rsdp, tables, generation, loader }
    }
}

impl Part {
    fn file(self) -> &'static str {
        match self {
            Self::Rsdp => Files::RSDP,
            Self::Tables => Files::TABLES,
            Self::Generation => Files::GENERATION,
        }
    }
}

type Name = [u8; 56];

/// Allocates memory for a file, and reads it.
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct Allocate {
    command: U32,
    file: Name,
    align: U32,
    zone: u8,
    reserved: [u8; 63],
}

/// Adds the address of a file to a field in another file.
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct AddPointer {
    command: U32,
    file: Name,
    pointed_to: Name,
    offset: U32,
    size: u8,
    reserved: [u8; 7],
}

/// Sets one byte of a file so that a range of the file adds up to zero.
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct AddChecksum {
    command: U32,
    file: Name,
    offset: U32,
    start: U32,
    len: U32,
    reserved: [u8; 56],
}

/// Length of every command in bytes.
const COMMAND_LEN: usize = 128;
const _: () = assert!(
    size_of::<Allocate>() == COMMAND_LEN
        && size_of::<AddPointer>() == COMMAND_LEN
        && size_of::<AddChecksum>() == COMMAND_LEN
);

impl Allocate {
    fn new(file: &str, align: u32, zone: u8) -> Self {
        Self { command: ALLOCATE.into(), file: name(file), align: align.into(), zone, reserved: [0; _] }
    }
}

impl AddPointer {
    fn new(file: &str, pointed_to: &str, at: usize, size: u8) -> Self {
        Self {
            command: ADD_POINTER.into(),
            file: name(file),
            pointed_to: name(pointed_to),
            offset: number(at).into(),
            size,
            reserved: [0; _],
        }
    }
}

impl AddChecksum {
    fn new(file: &str, at: usize, start: usize, len: usize) -> Self {
        Self {
            command: ADD_CHECKSUM.into(),
            file: name(file),
            offset: number(at).into(),
            start: number(start).into(),
            len: number(len).into(),
            reserved: [0; _],
        }
    }
}

/// A file's name, filled up with zeros.
fn name(file: &str) -> Name {
    let mut name = [0; _];
    name[..file.len()].copy_from_slice(file.as_bytes());
    name
}

#[cfg(test)]
#[path = "files_test.rs"]
mod tests;
