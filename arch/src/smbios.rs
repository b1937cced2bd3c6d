//! SMBIOS tables, which identify the machine: the DMTF's System Management BIOS Reference Specification (DSP0134).
//!
//! Firmware would write them, and takes them from files if there is firmware ([`files()`]). Linux reads them in /sys/class/dmi and /sys/firmware/dmi, and so do dmidecode, systemd, cloud-init and virt-what.

mod entry;
mod processor;
mod strings;
mod structures;
mod tables;
mod values;

use vm_memory::{Bytes, GuestAddress, GuestMemoryError};
use zerocopy::IntoBytes;

pub use self::values::{Baseboard, Bios, Chassis, MemoryDevice, Processor, SmbiosValues, System};
use self::{
    entry::{EntryPoint32, EntryPoint64},
    tables::Tables,
};
use crate::{
    boot::MemoryMap,
    cpu::{profile::CpuProfile, topology::Topology},
    layout,
    memory::GuestRam,
};

/// The most sockets that get a processor structure. Machines with more are unknown, and their structures would need more room than there
/// is.
const SOCKETS: u32 = 256;
/// Alignment of entry points.
const ENTRY_ALIGN: usize = 16;

/// Reasons why there can't be SMBIOS tables.
#[derive(Debug, thiserror::Error)]
pub enum SmbiosError {
    /// The user's strings are too long.
    #[error(
        "--smbios: the tables would take {0} bytes, and there is room for {room}; give shorter values",
        room = layout::SMBIOS_TABLES_LEN
    )]
    TooLong(usize),
    /// The tables' address is not in guest memory.
    #[error("can't write the SMBIOS tables to guest memory")]
    Write(#[source] GuestMemoryError),
}

/// The hardware that the tables describe.
#[derive(Clone, Copy, Debug)]
pub struct SmbiosHardware<'a> {
    /// The processors.
    pub cpu: &'a CpuProfile,
    /// Their topology.
    pub topology: &'a Topology,
    /// The memory.
    pub map: &'a MemoryMap,
}

/// Writes both entry points at [`layout::SMBIOS_ENTRY`], the 32-bit one after the other, and the structures at [`layout::SMBIOS_TABLES`].
///
/// # Errors
///
/// The tables don't fit, or their address is not in guest memory.
pub fn write(
    memory: &GuestRam,
    hardware: &SmbiosHardware<'_>,
    values: &SmbiosValues,
) -> Result<(), SmbiosError> {
    let (tables, len) = build_all(hardware, values)?;
    let mut entries = EntryPoint64::new(len, layout::SMBIOS_TABLES).as_bytes().to_vec();
    if let Some(entry) = EntryPoint32::new(&tables, layout::SMBIOS_TABLES) {
        entries.resize(entries.len().next_multiple_of(ENTRY_ALIGN), 0);
        entries.extend(entry.as_bytes());
    }
    let write =
        |bytes: &[u8], at: u64| memory.write_slice(bytes, GuestAddress(at)).map_err(SmbiosError::Write);
    write(tables.as_bytes(), layout::SMBIOS_TABLES)?;
    write(&entries, layout::SMBIOS_ENTRY)
}

/// The entry point that firmware gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPoint {
    /// The 32-bit one, which every OS knows, unless the structures are too long for it. SeaBIOS passes it on.
    Bits32,
    /// The 64-bit one. OVMF makes its own entry points from it. From a 32-bit one of SMBIOS 3, it would take no structures.
    Bits64,
}

/// The structures and the entry point, as firmware reads them from QEMU's fw_cfg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The entry point. Firmware adds the address of the structures, and recomputes the checksums.
    pub anchor: Vec<u8>,
    /// The structures.
    pub tables: Vec<u8>,
}

impl Files {
    /// Name of the file with the entry point.
    pub const ANCHOR: &str = "etc/smbios/smbios-anchor";
    /// Name of the file with the structures.
    pub const TABLES: &str = "etc/smbios/smbios-tables";
}

/// Returns the structures and the entry point as files.
///
/// # Errors
///
/// The structures take more than [`layout::SMBIOS_TABLES_LEN`], as with [`write()`].
pub fn files(
    hardware: &SmbiosHardware<'_>,
    values: &SmbiosValues,
    entry: EntryPoint,
) -> Result<Files, SmbiosError> {
    let (tables, len) = build_all(hardware, values)?;
    let short = match entry {
        EntryPoint::Bits32 => EntryPoint32::new(&tables, 0).map(|entry| entry.as_bytes().to_vec()),
        EntryPoint::Bits64 => None,
    };
    let anchor = short.unwrap_or_else(|| EntryPoint64::new(len, 0).as_bytes().to_vec());
    Ok(Files { anchor, tables: tables.into_bytes() })
}

/// The structures, and their length.
fn build_all(hardware: &SmbiosHardware<'_>, values: &SmbiosValues) -> Result<(Tables, u32), SmbiosError> {
    let tables = build(hardware, values);
    let len = tables.as_bytes().len();
    match u32::try_from(len) {
        Ok(fits) if u64::from(fits) <= layout::SMBIOS_TABLES_LEN => Ok((tables, fits)),
        _ => Err(SmbiosError::TooLong(len)),
    }
}

/// All structures, one after the other.
fn build(hardware: &SmbiosHardware<'_>, values: &SmbiosValues) -> Tables {
    let mut tables = Tables::default();
    structures::bios(&mut tables, &values.bios);
    structures::system(&mut tables, &values.system);
    structures::baseboard(&mut tables, &values.baseboard);
    structures::chassis(&mut tables, &values.chassis);
    for socket in 0..hardware.topology.sockets().min(SOCKETS) {
        processor::processor(&mut tables, socket, hardware.cpu, hardware.topology, &values.processor);
    }
    structures::oem_strings(&mut tables, &values.oem_strings);
    structures::memory(&mut tables, hardware.map, &values.memory);
    structures::boot(&mut tables);
    structures::end(&mut tables);
    tables
}

#[cfg(test)]
#[path = "smbios_test.rs"]
mod tests;
