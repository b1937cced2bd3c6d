//! ACPI tables: the description of the machine that the guest's OS reads.
//!
//! For a kernel that nvmm starts, [`write()`] puts them at [`layout::ACPI_TABLES`]. Firmware reads them as files ([`files()`]) and places
//! them itself. One builder makes both; it keeps a list of the pointers and checksums that depend on the tables' addresses.
//!
//! Every machine has fixed hardware (PM1 event and control blocks, power button, reset register), is always in ACPI mode, and has no GPEs
//! and no SMI. A PM timer, an RTC, a VM generation ID and other devices with fixed ports are described if [`AcpiHardware`] has them. CPUs
//! are in the MADT only.

mod dsdt;
mod fadt;
mod files;
mod generation;
mod hardware;
mod madt;
mod mcfg;
mod oem;
mod unplaced;

use acpi_tables::{facs::FACS, sdt::Sdt, xsdt::XSDT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

pub use self::{
    files::Files,
    hardware::{AcpiHardware, HardwareId, IsaDevice},
};
use self::{
    oem::{OEM_ID, OEM_REVISION, OEM_TABLE_ID},
    unplaced::{POINTER_LEN, Part, RSDT_POINTER_LEN, SDT_HEADER_LEN, Unplaced, number},
};
use crate::{layout, memory::GuestRam};

/// Reasons why the ACPI tables can't be made.
#[derive(Debug, thiserror::Error)]
pub enum AcpiError {
    /// More vCPUs than [`layout::ACPI_TABLES_LEN`] has room for.
    #[error(
        "the ACPI tables of {cpus} vCPUs take {len} bytes, and there is room for {}",
        layout::ACPI_TABLES_LEN
    )]
    TooLong {
        /// The number of vCPUs.
        cpus: usize,
        /// The length of the tables in bytes.
        len: usize,
    },
    /// The tables' address is not in guest memory.
    #[error("can't write the ACPI tables to guest memory")]
    Write(#[source] GuestMemoryError),
}

/// Writes the tables that describe `hardware`, and returns the address of the RSDP.
///
/// # Errors
///
/// The tables don't fit at [`layout::ACPI_TABLES`], or that is not in guest memory.
pub fn write(memory: &GuestRam, hardware: &AcpiHardware) -> Result<u64, AcpiError> {
    let image = build(hardware).place(layout::ACPI_TABLES);
    if image.len() as u64 > layout::ACPI_TABLES_LEN {
        return Err(AcpiError::TooLong { cpus: hardware.apic_ids.len(), len: image.len() });
    }
    memory.write_slice(&image, GuestAddress(layout::ACPI_TABLES)).map_err(AcpiError::Write)?;
    Ok(layout::ACPI_TABLES)
}

/// Returns the tables that describe `hardware` as files, with the script by which firmware places them.
#[must_use]
pub fn files(hardware: &AcpiHardware) -> Files {
    Files::new(build(hardware))
}

/// Builds all tables, with a list of the steps that are left for when they have addresses.
fn build(hardware: &AcpiHardware) -> Unplaced {
    let mut tables = Unplaced::default();
    let facs = tables.append(&FACS::new());
    let dsdt = dsdt::dsdt(hardware);
    let pointers: Vec<_> = dsdt::generation_places(&dsdt).into_iter().map(|at| (at, 4)).collect();
    let dsdt = tables.append_sdt_to(Part::Generation, &dsdt, &pointers);
    let fadt = tables.append_sdt(&fadt::fadt(facs, dsdt, hardware), &fadt::POINTERS);
    let mut entries = vec![fadt, tables.append_sdt(&madt::madt(&hardware.apic_ids), &[])];
    entries.extend(hardware.ecam.as_ref().map(|ecam| tables.append_sdt(&mcfg::mcfg(ecam), &[])));

    // Linux reads the XSDT. Programs that know ACPI 1.0 alone, such as GRUB's `halt`, read the RSDT.
    let mut rsdt = Sdt::new(*b"RSDT", number(SDT_HEADER_LEN), 1, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    for &entry in &entries {
        rsdt.append_slice(&entry.to_le_bytes());
        xsdt.add_entry(entry.into());
    }
    let pointers = |len: u8| -> Vec<_> {
        (0..entries.len()).map(|entry| (SDT_HEADER_LEN + entry * usize::from(len), len)).collect()
    };
    let rsdt = tables.append_sdt(&rsdt, &pointers(RSDT_POINTER_LEN));
    let xsdt = tables.append_sdt(&xsdt, &pointers(POINTER_LEN));
    tables.set_rsdp(rsdt, xsdt);
    tables
}

#[cfg(test)]
#[path = "acpi_test.rs"]
mod tests;
