//! Values that the user gives. Those that are `None` have nvmm's value, or none.

use uuid::Uuid;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmbiosValues {
    /// Type 0.
    pub bios: Bios,
    /// Type 1.
    pub system: System,
    /// Type 2.
    pub baseboard: Baseboard,
    /// Type 3.
    pub chassis: Chassis,
    /// Type 4, for all sockets.
    pub processor: Processor,
    /// Type 11: strings for programs in the guest, such as systemd's credentials.
    pub oem_strings: Vec<String>,
    /// Type 17.
    pub memory: MemoryDevice,
}

/// "BIOS Information (Type 0)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bios {
    /// Its maker; without, nvmm.
    pub vendor: Option<String>,
    /// Its version; without, nvmm's.
    pub version: Option<String>,
    /// When it was released, as mm/dd/yyyy.
    pub date: Option<String>,
    /// Its major and minor release.
    pub release: Option<(u8, u8)>,
}

/// "System Information (Type 1)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// The machine's maker; without, nvmm.
    pub manufacturer: Option<String>,
    /// Its name; without, a KVM virtual machine.
    pub product: Option<String>,
    /// Its version; without, nvmm's.
    pub version: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its UUID.
    pub uuid: Option<Uuid>,
    /// Its number in a catalogue.
    pub sku: Option<String>,
    /// Its family.
    pub family: Option<String>,
}

/// "Baseboard (or Module) Information (Type 2)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseboard {
    /// Its maker; without, nvmm.
    pub manufacturer: Option<String>,
    /// Its name; without, a KVM virtual machine.
    pub product: Option<String>,
    /// Its version; without, nvmm's.
    pub version: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its owner's number.
    pub asset: Option<String>,
    /// Its location in the chassis.
    pub location: Option<String>,
}

/// "System Enclosure or Chassis (Type 3)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chassis {
    /// Its maker; without, nvmm.
    pub manufacturer: Option<String>,
    /// Its version; without, nvmm's.
    pub version: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its owner's number.
    pub asset: Option<String>,
    /// Its number in a catalogue.
    pub sku: Option<String>,
}

/// "Processor Information (Type 4)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// The name of a socket, before its number; without, CPU.
    pub socket_prefix: Option<String>,
    /// Its maker; without, as CPUID says.
    pub manufacturer: Option<String>,
    /// Its name; without, CPUID's brand string.
    pub version: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its owner's number.
    pub asset: Option<String>,
    /// Its part number.
    pub part: Option<String>,
    /// The highest rate in MHz; without, it is unknown.
    pub max_speed: Option<u16>,
    /// The rate in MHz; without, it is unknown.
    pub current_speed: Option<u16>,
}

/// "Memory Device (Type 17)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryDevice {
    /// The name of its place, before its number; without, DIMM.
    pub locator_prefix: Option<String>,
    /// The name of its bank.
    pub bank: Option<String>,
    /// Its maker; without, nvmm.
    pub manufacturer: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its owner's number.
    pub asset: Option<String>,
    /// Its part number.
    pub part: Option<String>,
    /// Its rate in MT/s; without, it is unknown.
    pub speed: Option<u16>,
}
