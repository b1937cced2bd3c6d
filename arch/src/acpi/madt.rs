//! ACPI 6.5, "Multiple APIC Description Table (MADT)".

use acpi_tables::{
    madt::{EnabledStatus, IoApic, ProcessorLocalApic},
    sdt::Sdt,
};
use zerocopy::{Immutable, IntoBytes};

use super::oem::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::{cpu::apic_id::FIRST_X2APIC_ID, layout};

const REVISION: u8 = 5;
/// Table header, address of the local APIC, flags.
const HEADER_LEN: u32 = 44;
const LOCAL_APIC_ADDRESS: usize = 36;
const FLAGS: usize = 40;
/// Flag: there is a pair of 8259 PICs too.
const PCAT_COMPAT: u32 = 1;

const LINT1: u8 = 1;
#[expect(clippy::cast_possible_truncation, reason = "an ISA interrupt")]
const SCI_IRQ: u8 = layout::SCI_GSI as u8;
#[expect(clippy::cast_possible_truncation, reason = "below 4 GiB")]
const LOCAL_APIC: u32 = layout::LAPIC as u32;
#[expect(clippy::cast_possible_truncation, reason = "below 4 GiB")]
const IOAPIC: u32 = layout::IOAPIC as u32;
/// "MPS INTI Flags": active low, level-triggered.
const LEVEL_LOW: u16 = 0b1111;

/// "Processor Local x2APIC Structure".
#[repr(C, packed)]
#[derive(IntoBytes, Immutable)]
struct ProcessorLocalX2Apic {
    type_: u8,
    length: u8,
    reserved: u16,
    x2apic_id: u32,
    flags: u32,
    processor_uid: u32,
}

/// "Interrupt Source Override Structure".
#[repr(C, packed)]
#[derive(IntoBytes, Immutable)]
struct InterruptSourceOverride {
    type_: u8,
    length: u8,
    bus: u8,
    source: u8,
    gsi: u32,
    flags: u16,
}

/// "Local APIC NMI Structure".
#[repr(C, packed)]
#[derive(IntoBytes, Immutable)]
struct LocalApicNmi {
    type_: u8,
    length: u8,
    processor_uid: u8,
    flags: u16,
    lint: u8,
}

/// "Local x2APIC NMI Structure".
#[repr(C, packed)]
#[derive(IntoBytes, Immutable)]
struct LocalX2ApicNmi {
    type_: u8,
    length: u8,
    flags: u16,
    processor_uid: u32,
    lint: u8,
    reserved: [u8; 3],
}

/// The interrupt controllers of a machine whose vCPUs have these APIC ids. A vCPU's UID is its index.
pub(super) fn madt(apic_ids: &[u32]) -> Sdt {
    let mut entries = Vec::new();
    let mut add = |entry: &[u8]| entries.extend_from_slice(entry);
    let mut any_x2apic = false;
    for (uid, &id) in (0..).zip(apic_ids) {
        match (u8::try_from(uid), u8::try_from(id)) {
            (Ok(uid), Ok(id8)) if id < FIRST_X2APIC_ID => {
                add(ProcessorLocalApic::new(uid, id8, EnabledStatus::Enabled).as_bytes());
            }
            _ => {
                any_x2apic = true;
                add(ProcessorLocalX2Apic::new(uid, id).as_bytes());
            }
        }
    }
    // KVM's default routing wires the PIT to input 0, not to 2 as on PCs, so it needs no override.
    add(IoApic::new(0, IOAPIC, 0).as_bytes());
    add(InterruptSourceOverride::new(SCI_IRQ, layout::SCI_GSI, LEVEL_LOW).as_bytes());
    add(LocalApicNmi::all_processors().as_bytes());
    if any_x2apic {
        add(LocalX2ApicNmi::all_processors().as_bytes());
    }

    let mut madt = Sdt::new(*b"APIC", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    madt.write_u32(LOCAL_APIC_ADDRESS, LOCAL_APIC);
    madt.write_u32(FLAGS, PCAT_COMPAT);
    madt.append_slice(&entries);
    madt
}

impl ProcessorLocalX2Apic {
    fn new(processor_uid: u32, x2apic_id: u32) -> Self {
        Self {
            type_: 9,
            length: 16,
            reserved: 0,
            x2apic_id,
            flags: EnabledStatus::Enabled as u32,
            processor_uid,
        }
    }
}

impl InterruptSourceOverride {
    fn new(source: u8, gsi: u32, flags: u16) -> Self {
        Self { type_: 2, length: 10, bus: 0, source, gsi, flags }
    }
}

impl LocalApicNmi {
    fn all_processors() -> Self {
        Self { type_: 4, length: 6, processor_uid: u8::MAX, flags: 0, lint: LINT1 }
    }
}

impl LocalX2ApicNmi {
    fn all_processors() -> Self {
        Self { type_: 10, length: 12, flags: 0, processor_uid: u32::MAX, lint: LINT1, reserved: [0; 3] }
    }
}
