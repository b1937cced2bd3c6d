//! SMBIOS tables: what the machine calls itself, as the DMTF's System Management BIOS Reference Specification (DSP0134) has it.
//!
//! Firmware would write them, and takes them from files if there is firmware ([`files()`]). Linux reads them in /sys/class/dmi and /sys/firmware/dmi, and so do dmidecode, systemd, cloud-init and virt-what.

mod processor;
mod strings;
mod structures;
mod tables;
mod values;

use vm_memory::{Bytes, GuestAddress, GuestMemoryError};
use zerocopy::{
    Immutable, IntoBytes, Unaligned,
    little_endian::{U32, U64},
};

use self::tables::Tables;
pub use self::values::{Baseboard, Bios, Chassis, MemoryDevice, Processor, SmbiosValues, System};
use crate::{
    boot::MemoryMap,
    cpu::{profile::CpuProfile, topology::Topology},
    layout,
    memory::GuestRam,
};

/// Sockets that get a processor structure. There can be more, but nobody has seen them, and they would need more room than there is.
const SOCKETS: u32 = 256;

/// Why there are no SMBIOS tables.
#[derive(Debug, thiserror::Error)]
pub enum SmbiosError {
    /// The user's strings are too long.
    #[error(
        "--smbios: the tables would take {0} bytes, and there is room for {room}; give shorter values",
        room = layout::SMBIOS_TABLES_LEN
    )]
    TooLong(usize),
    /// Not in guest memory.
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

/// Writes the entry point at [`layout::SMBIOS_ENTRY`] and the structures at [`layout::SMBIOS_TABLES`].
///
/// # Errors
///
/// They don't fit, or are not in guest memory.
pub fn write(
    memory: &GuestRam,
    hardware: &SmbiosHardware<'_>,
    values: &SmbiosValues,
) -> Result<(), SmbiosError> {
    let (mut entry, tables) = build_all(hardware, values)?;
    entry.set_address(layout::SMBIOS_TABLES);
    memory.write_slice(&tables, GuestAddress(layout::SMBIOS_TABLES)).map_err(SmbiosError::Write)?;
    memory.write_slice(entry.as_bytes(), GuestAddress(layout::SMBIOS_ENTRY)).map_err(SmbiosError::Write)
}

/// Structures and entry point as firmware reads them by QEMU's fw_cfg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The entry point. Firmware puts the address of the structures in, and makes the checksum anew.
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

/// Returns entry point and structures as files.
///
/// # Errors
///
/// They take more than [`layout::SMBIOS_TABLES_LEN`], as with [`write()`].
pub fn files(hardware: &SmbiosHardware<'_>, values: &SmbiosValues) -> Result<Files, SmbiosError> {
    let (entry, tables) = build_all(hardware, values)?;
    Ok(Files { anchor: entry.as_bytes().to_vec(), tables })
}

/// The entry point, and the structures, which have no address yet.
fn build_all(
    hardware: &SmbiosHardware<'_>,
    values: &SmbiosValues,
) -> Result<(EntryPoint, Vec<u8>), SmbiosError> {
    let tables = build(hardware, values);
    let len = u32::try_from(tables.len()).ok().filter(|&len| u64::from(len) <= layout::SMBIOS_TABLES_LEN);
    let len = len.ok_or(SmbiosError::TooLong(tables.len()))?;
    Ok((EntryPoint::new(len), tables))
}

/// All structures, one after the other.
fn build(hardware: &SmbiosHardware<'_>, values: &SmbiosValues) -> Vec<u8> {
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
    tables.into_bytes()
}

/// DSP0134, "SMBIOS 3.0 (64-bit) Entry Point".
#[derive(Clone, Copy, Debug, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct EntryPoint {
    anchor: [u8; 5],
    checksum: u8,
    len: u8,
    version: [u8; 3],
    revision: u8,
    reserved: u8,
    max_len: U32,
    address: U64,
}

impl EntryPoint {
    /// One for `len` bytes of structures that have no address yet.
    fn new(len: u32) -> Self {
        let mut entry = Self {
            anchor: *b"_SM3_",
            checksum: 0,
            len: 24,
            version: [3, 0, 0],
            revision: 1,
            reserved: 0,
            max_len: len.into(),
            address: 0.into(),
        };
        entry.set_address(0);
        entry
    }

    fn set_address(&mut self, address: u64) {
        self.address = address.into();
        self.checksum = 0;
        let sum = self.as_bytes().iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        self.checksum = sum.wrapping_neg();
    }
}

#[cfg(test)]
#[path = "smbios_test.rs"]
mod tests;
