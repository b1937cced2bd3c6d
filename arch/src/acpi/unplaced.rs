//! Tables that have no addresses yet.

use std::mem::offset_of;

use acpi_tables::{Aml, rsdp::Rsdp};

use super::oem::OEM_ID;
use crate::layout;

/// Alignment of tables: the FACS asks for 64, the RSDP for 16.
pub(super) const ALIGN: u32 = 64;
/// Length of ACPI 6.5, "System Description Table Header".
pub(super) const SDT_HEADER_LEN: usize = 36;
/// Length of a pointer in the XSDT, and of the RSDP's pointer to the XSDT.
pub(super) const POINTER_LEN: u8 = 8;
/// Length of a pointer in the RSDT, and of the RSDP's pointer to the RSDT.
pub(super) const RSDT_POINTER_LEN: u8 = 4;

const SDT_CHECKSUM: usize = 9;
/// Length of the RSDP's part that is from ACPI 1.0, which has a checksum of its own.
const RSDP_V1_LEN: usize = 20;
/// Offset of RsdtAddress in the RSDP: the last field of that part.
const RSDT_ADDRESS: usize = RSDP_V1_LEN - RSDT_POINTER_LEN as usize;

/// The RSDP and the tables that it leads to. Until they have addresses, pointers hold offsets into the tables and checksums are zero, as
/// OVMF requires.
#[derive(Debug, Default)]
pub(super) struct Unplaced {
    pub(super) rsdp: Vec<u8>,
    /// All tables except the RSDP.
    pub(super) tables: Vec<u8>,
    /// The steps to take once addresses are known, in this order.
    pub(super) steps: Vec<Step>,
}

/// A step to take once the tables have addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Adds the address of `to` to the `size` bytes at `at`.
    Pointer { part: Part, at: usize, size: u8, to: Part },
    /// Sets the byte at `at` so that the `len` bytes from `start` on add up to zero.
    Checksum { part: Part, at: usize, start: usize, len: usize },
}

/// The file that a pointer or a checksum is in, or that a pointer leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Rsdp,
    Tables,
    /// The VM generation ID, which is no table.
    Generation,
}

impl Unplaced {
    /// Adds a table without pointers and checksum. Returns its offset.
    pub(super) fn append(&mut self, table: &dyn Aml) -> u32 {
        let at = self.tables.len().next_multiple_of(ALIGN as usize);
        self.tables.resize(at, 0);
        table.to_aml_bytes(&mut self.tables);
        number(at)
    }

    /// Adds a table that begins with the standard header. `pointers` lists the offset and the length of each pointer in it.
    pub(super) fn append_sdt(&mut self, table: &dyn Aml, pointers: &[(usize, u8)]) -> u32 {
        self.append_sdt_to(Part::Tables, table, pointers)
    }

    /// Adds a table as [`Self::append_sdt`] does, but with pointers to the part `to`.
    pub(super) fn append_sdt_to(&mut self, to: Part, table: &dyn Aml, pointers: &[(usize, u8)]) -> u32 {
        let offset = self.append(table);
        let start = offset as usize;
        for &(at, size) in pointers {
            self.steps.push(Step::Pointer { part: Part::Tables, at: start + at, size, to });
        }
        self.checksum(Part::Tables, start + SDT_CHECKSUM, start, self.tables.len() - start);
        offset
    }

    /// Makes the RSDP, which points to the RSDT and the XSDT at these offsets.
    pub(super) fn set_rsdp(&mut self, rsdt: u32, xsdt: u32) {
        Rsdp::new(OEM_ID, xsdt.into()).to_aml_bytes(&mut self.rsdp);
        let rsdt_address = RSDT_ADDRESS..RSDT_ADDRESS + usize::from(RSDT_POINTER_LEN);
        self.rsdp[rsdt_address].copy_from_slice(&rsdt.to_le_bytes());
        for (at, size) in [(RSDT_ADDRESS, RSDT_POINTER_LEN), (offset_of!(Rsdp, xsdt_addr), POINTER_LEN)] {
            self.steps.push(Step::Pointer { part: Part::Rsdp, at, size, to: Part::Tables });
        }
        self.checksum(Part::Rsdp, offset_of!(Rsdp, checksum), 0, RSDP_V1_LEN);
        self.checksum(Part::Rsdp, offset_of!(Rsdp, extended_checksum), 0, self.rsdp.len());
    }

    /// Returns the bytes that belong at `address`, the RSDP first. The VM generation ID is elsewhere.
    pub(super) fn place(mut self, address: u64) -> Vec<u8> {
        let tables_at = self.rsdp.len().next_multiple_of(ALIGN as usize);
        for step in self.steps.clone() {
            match step {
                Step::Pointer { part, at, size, to } => {
                    let field = &mut self.part(part)[at..at + usize::from(size)];
                    let target = match to {
                        Part::Rsdp => address,
                        Part::Tables => address + tables_at as u64,
                        Part::Generation => layout::VM_GENERATION_ID,
                    };
                    add(field, target);
                }
                Step::Checksum { part, at, start, len } => {
                    let bytes = self.part(part);
                    bytes[at] = crate::checksum(&bytes[start..start + len]);
                }
            }
        }
        let mut image = self.rsdp;
        image.resize(tables_at, 0);
        image.extend(self.tables);
        image
    }

    fn checksum(&mut self, part: Part, at: usize, start: usize, len: usize) {
        self.part(part)[at] = 0;
        self.steps.push(Step::Checksum { part, at, start, len });
    }

    fn part(&mut self, part: Part) -> &mut [u8] {
        match part {
            Part::Rsdp => &mut self.rsdp,
            Part::Tables => &mut self.tables,
            // No step changes the generation ID's page.
            Part::Generation => &mut [],
        }
    }
}

/// Converts an offset to the type that tables and scripts use. It always fits: the tables take less than 100 KiB for the most vCPUs that
/// KVM allows.
pub(super) fn number(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// Adds `value` to the little-endian number in `field`, which has eight bytes at most.
fn add(field: &mut [u8], value: u64) {
    let mut number = [0; 8];
    number[..field.len()].copy_from_slice(field);
    let sum = u64::from_le_bytes(number).wrapping_add(value).to_le_bytes();
    field.copy_from_slice(&sum[..field.len()]);
}
