//! ACPI tables: the machine as the kernel is told of it.
//!
//! Fixed hardware (PM1 event and control blocks, power button, reset register), always in ACPI mode, without GPEs, SMI, VGA and i8042; a PM
//! timer, an RTC and other devices with fixed ports if [`AcpiHardware`] has them. CPUs are in the MADT only.

mod dsdt;
mod fadt;
mod hardware;
mod madt;
mod oem;

use acpi_tables::{Aml, facs::FACS, mcfg::MCFG, rsdp::Rsdp, xsdt::XSDT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

pub use self::hardware::{AcpiHardware, HardwareId, IsaDevice};
use self::oem::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::{layout, memory::GuestRam};

/// The FACS asks for 64, the RSDP for 16.
const ALIGN: usize = 64;

/// Why there are no ACPI tables.
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
        /// The bytes that they take.
        len: usize,
    },
    /// Not in guest memory.
    #[error("can't write the ACPI tables to guest memory")]
    Write(#[source] GuestMemoryError),
}

/// Writes the tables that describe `hardware`, and returns the address of the RSDP.
///
/// # Errors
///
/// They don't fit, or are not in guest memory.
pub fn write(memory: &GuestRam, hardware: &AcpiHardware) -> Result<u64, AcpiError> {
    let image = build(hardware);
    if image.len() as u64 > layout::ACPI_TABLES_LEN {
        return Err(AcpiError::TooLong { cpus: hardware.apic_ids.len(), len: image.len() });
    }
    memory.write_slice(&image, GuestAddress(layout::ACPI_TABLES)).map_err(AcpiError::Write)?;
    Ok(layout::ACPI_TABLES)
}

/// The bytes that belong at [`layout::ACPI_TABLES`], the RSDP first.
fn build(hardware: &AcpiHardware) -> Vec<u8> {
    let mut image = Image(vec![0; Rsdp::len()]);
    let facs = image.append(&FACS::new());
    let dsdt = image.append(&dsdt::dsdt(hardware));
    let mut mcfg = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    mcfg.add_ecam(layout::ECAM, 0, 0, 0);
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let fadt = image.append(&fadt::fadt(facs, dsdt, hardware));
    let madt = image.append(&madt::madt(&hardware.apic_ids));
    for table in [fadt, madt, image.append(&mcfg)] {
        xsdt.add_entry(table.into());
    }
    let xsdt = image.append(&xsdt);

    let mut rsdp = Vec::with_capacity(Rsdp::len());
    Rsdp::new(OEM_ID, xsdt.into()).to_aml_bytes(&mut rsdp);
    image.0[..rsdp.len()].copy_from_slice(&rsdp);
    image.0
}

/// The tables so far.
struct Image(Vec<u8>);

impl Image {
    /// Adds a table, and returns its address.
    fn append(&mut self, table: &dyn Aml) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        let at = layout::ACPI_TABLES + self.0.len() as u64;
        table.to_aml_bytes(&mut self.0);
        // `write` refuses what goes past the first megabyte.
        u32::try_from(at).unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "acpi_test.rs"]
mod tests;
