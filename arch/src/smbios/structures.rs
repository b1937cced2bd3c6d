//! The structures except for the processors', each with the name of its section in DSP0134.

use zerocopy::{
    Immutable, IntoBytes, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{
    strings::Strings,
    tables::{Tables, Type, handle},
    values::{Baseboard, Bios, Chassis, MemoryDevice, System},
};
use crate::boot::MemoryMap;

const MAKER: &str = "nvmm";
/// The product's name. By its beginning, virt-what, systemd-detect-virt and others recognize a KVM guest.
const PRODUCT: &str = "KVM Virtual Machine";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The BIOS's date, a recent one: Linux distrusts the ACPI tables and PCI resources of old firmware.
const DATE: &str = "01/01/2026";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// "BIOS Information (Type 0)".
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct BiosInformation {
    vendor: u8,
    version: u8,
    /// 0, as there is no firmware in memory.
    starting_segment: U16,
    release_date: u8,
    rom_size: u8,
    characteristics: U64,
    extension: [u8; 2],
    release: [u8; 2],
    embedded_controller_release: [u8; 2],
}

pub(super) fn bios(tables: &mut Tables, values: &Bios) {
    /// "BIOS characteristics are not supported".
    const NOT_SUPPORTED: u64 = 1 << 3;
    /// "SMBIOS table describes a virtual machine".
    const VIRTUAL_MACHINE: u8 = 1 << 4;
    let mut strings = Strings::default();
    let bios = BiosInformation {
        vendor: strings.add(values.vendor.as_deref().unwrap_or(MAKER)),
        version: strings.add(values.version.as_deref().unwrap_or(VERSION)),
        starting_segment: 0.into(),
        release_date: strings.add(values.date.as_deref().unwrap_or(DATE)),
        rom_size: 0,
        characteristics: NOT_SUPPORTED.into(),
        extension: [0, VIRTUAL_MACHINE],
        release: values.release.map_or([0xff; 2], <[u8; 2]>::from),
        embedded_controller_release: [0xff; 2],
    };
    tables.add(Type::Bios, 0, &bios, &strings);
}

/// "System Information (Type 1)".
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct SystemInformation {
    manufacturer: u8,
    product: u8,
    version: u8,
    serial: u8,
    /// The UUID, whose first three fields are little-endian. All zeros mean that the machine has none.
    uuid: [u8; 16],
    wake_up: u8,
    sku: u8,
    family: u8,
}

pub(super) fn system(tables: &mut Tables, values: &System) {
    const POWER_SWITCH: u8 = 6;
    let mut strings = Strings::default();
    let system = SystemInformation {
        manufacturer: strings.add(values.manufacturer.as_deref().unwrap_or(MAKER)),
        product: strings.add(values.product.as_deref().unwrap_or(PRODUCT)),
        version: strings.add(values.version.as_deref().unwrap_or(VERSION)),
        serial: strings.add_if(values.serial.as_ref()),
        uuid: values.uuid.unwrap_or_default().to_bytes_le(),
        wake_up: POWER_SWITCH,
        sku: strings.add_if(values.sku.as_ref()),
        family: strings.add_if(values.family.as_ref()),
    };
    tables.add(Type::System, 0, &system, &strings);
}

/// "Baseboard (or Module) Information (Type 2)".
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct BaseboardInformation {
    manufacturer: u8,
    product: u8,
    version: u8,
    serial: u8,
    asset: u8,
    features: u8,
    location: u8,
    chassis: U16,
    kind: u8,
    contained_objects: u8,
}

pub(super) fn baseboard(tables: &mut Tables, values: &Baseboard) {
    const HOSTING_BOARD: u8 = 1;
    const MOTHERBOARD: u8 = 10;
    let mut strings = Strings::default();
    let board = BaseboardInformation {
        manufacturer: strings.add(values.manufacturer.as_deref().unwrap_or(MAKER)),
        product: strings.add(values.product.as_deref().unwrap_or(PRODUCT)),
        version: strings.add(values.version.as_deref().unwrap_or(VERSION)),
        serial: strings.add_if(values.serial.as_ref()),
        asset: strings.add_if(values.asset.as_ref()),
        features: HOSTING_BOARD,
        location: strings.add_if(values.location.as_ref()),
        chassis: handle(Type::Chassis, 0).into(),
        kind: MOTHERBOARD,
        contained_objects: 0,
    };
    tables.add(Type::Baseboard, 0, &board, &strings);
}

/// "System Enclosure or Chassis (Type 3)".
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct ChassisInformation {
    manufacturer: u8,
    kind: u8,
    version: u8,
    serial: u8,
    asset: u8,
    boot_state: u8,
    power_supply_state: u8,
    thermal_state: u8,
    security: u8,
    oem: U32,
    height: u8,
    power_cords: u8,
    contained_elements: u8,
    contained_element_len: u8,
    sku: u8,
}

pub(super) fn chassis(tables: &mut Tables, values: &Chassis) {
    const OTHER: u8 = 1;
    const UNKNOWN: u8 = 2;
    const SAFE: u8 = 3;
    let mut strings = Strings::default();
    let chassis = ChassisInformation {
        manufacturer: strings.add(values.manufacturer.as_deref().unwrap_or(MAKER)),
        kind: OTHER,
        version: strings.add(values.version.as_deref().unwrap_or(VERSION)),
        serial: strings.add_if(values.serial.as_ref()),
        asset: strings.add_if(values.asset.as_ref()),
        boot_state: SAFE,
        power_supply_state: SAFE,
        thermal_state: SAFE,
        security: UNKNOWN,
        oem: 0.into(),
        height: 0,
        power_cords: 0,
        contained_elements: 0,
        contained_element_len: 0,
        sku: strings.add_if(values.sku.as_ref()),
    };
    tables.add(Type::Chassis, 0, &chassis, &strings);
}

/// "OEM Strings (Type 11)", if there are any.
pub(super) fn oem_strings(tables: &mut Tables, values: &[String]) {
    // One structure holds no more than 255 strings.
    for (number, values) in (0..).zip(values.chunks(u8::MAX.into())) {
        let mut strings = Strings::default();
        for value in values {
            strings.add(value);
        }
        tables.add(Type::OemStrings, number, &strings.count(), &strings);
    }
}

/// "Physical Memory Array (Type 16)".
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct MemoryArray {
    location: u8,
    purpose: u8,
    error_correction: u8,
    max_kib: U32,
    error_information: U16,
    devices: U16,
    max_bytes: U64,
}

/// "Memory Device (Type 17)".
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct MemoryDeviceStructure {
    array: U16,
    error_information: U16,
    total_width: U16,
    data_width: U16,
    size: U16,
    form_factor: u8,
    set: u8,
    locator: u8,
    bank: u8,
    kind: u8,
    detail: U16,
    speed: U16,
    manufacturer: u8,
    serial: u8,
    asset: u8,
    part: u8,
    attributes: u8,
    extended_size: U32,
    configured_speed: U16,
    /// The lowest, the highest and the configured voltage: unknown.
    voltages: [U16; 3],
}

/// "Memory Array Mapped Address (Type 19)".
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct ArrayAddress {
    first_kib: U32,
    last_kib: U32,
    array: U16,
    partition_width: u8,
    first: U64,
    last: U64,
}

/// One memory array with one device, and its address ranges.
pub(super) fn memory(tables: &mut Tables, map: &MemoryMap, values: &MemoryDevice) {
    const OTHER: u8 = 1;
    const SYSTEM_MEMORY: u8 = 3;
    const UNKNOWN: u8 = 2;
    const DIMM: u8 = 9;
    const RAM: u8 = 7;
    const DETAIL_OTHER: u16 = 1 << 1;
    const NOT_PROVIDED: u16 = 0xfffe;
    const UNKNOWN_WIDTH: u16 = 0xffff;
    /// The value of a field whose number does not fit: it is in the extended field instead.
    const EXTENDED: u32 = 0x8000_0000;
    let bytes: u64 = map.ram.iter().map(|&(_, len)| len as u64).sum();
    let array_handle = handle(Type::MemoryArray, 0).into();
    let array = MemoryArray {
        location: OTHER,
        purpose: SYSTEM_MEMORY,
        error_correction: UNKNOWN,
        max_kib: u32::try_from(bytes / KIB).ok().filter(|&kib| kib < EXTENDED).unwrap_or(EXTENDED).into(),
        error_information: NOT_PROVIDED.into(),
        devices: 1.into(),
        max_bytes: bytes.into(),
    };
    tables.add(Type::MemoryArray, 0, &array, &Strings::default());

    let (size, extended_size) = device_size(bytes);
    let mut strings = Strings::default();
    let device = MemoryDeviceStructure {
        array: array_handle,
        error_information: NOT_PROVIDED.into(),
        total_width: UNKNOWN_WIDTH.into(),
        data_width: UNKNOWN_WIDTH.into(),
        size: size.into(),
        form_factor: DIMM,
        set: 0,
        locator: strings.add(&format!("{} 0", values.locator_prefix.as_deref().unwrap_or("DIMM"))),
        bank: strings.add_if(values.bank.as_ref()),
        kind: RAM,
        detail: DETAIL_OTHER.into(),
        speed: values.speed.unwrap_or_default().into(),
        manufacturer: strings.add(values.manufacturer.as_deref().unwrap_or(MAKER)),
        serial: strings.add_if(values.serial.as_ref()),
        asset: strings.add_if(values.asset.as_ref()),
        part: strings.add_if(values.part.as_ref()),
        attributes: 0,
        extended_size: extended_size.into(),
        configured_speed: values.speed.unwrap_or_default().into(),
        voltages: [U16::ZERO; 3],
    };
    tables.add(Type::MemoryDevice, 0, &device, &strings);

    for (number, &(start, len)) in (0..).zip(&map.ram) {
        let (first, last) = (start.0, start.0 + (len as u64 - 1));
        // Use the short fields for both ends, or for neither.
        let kib = u32::try_from(last / KIB).ok().filter(|&kib| kib < u32::MAX);
        let of =
            |address: u64| kib.and_then(|_| u32::try_from(address / KIB).ok()).unwrap_or(u32::MAX).into();
        let extended = |address: u64| if kib.is_some() { 0 } else { address }.into();
        let address = ArrayAddress {
            first_kib: of(first),
            last_kib: of(last),
            array: array_handle,
            partition_width: 1,
            first: extended(first),
            last: extended(last),
        };
        tables.add(Type::MemoryArrayAddress, number, &address, &Strings::default());
    }
}

/// The two fields of a memory device's size. The first has KiB with bit 15 set, or MiB, or 7FFFH if the second one has the MiB.
fn device_size(bytes: u64) -> (u16, u32) {
    const KIB_UNIT: u16 = 0x8000;
    const EXTENDED: u16 = 0x7fff;
    let small = |count: u64| u16::try_from(count).ok().filter(|&count| count < EXTENDED);
    match (small(bytes / KIB), small(bytes / MIB)) {
        (Some(kib), _) if !bytes.is_multiple_of(MIB) => (kib | KIB_UNIT, 0),
        (_, Some(mib)) => (mib, 0),
        _ => (EXTENDED, u32::try_from(bytes / MIB).unwrap_or(u32::MAX).min(i32::MAX as u32)),
    }
}

/// "System Boot Information (Type 32)": six reserved bytes, and a status that reports no error.
pub(super) fn boot(tables: &mut Tables) {
    tables.add(Type::Boot, 0, &[0_u8; 7], &Strings::default());
}

/// "End-of-Table (Type 127)".
pub(super) fn end(tables: &mut Tables) {
    tables.add(Type::End, 0, &(), &Strings::default());
}
