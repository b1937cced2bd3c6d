//! Values that the user gives. Those that are `None` have nvmm's default, or are left out.

use uuid::Uuid;

/// All values that the user gives.
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
    /// The maker; by default nvmm.
    pub vendor: Option<String>,
    /// The version; by default nvmm's.
    pub version: Option<String>,
    /// The date of its release, as mm/dd/yyyy.
    pub date: Option<String>,
    /// The major and minor release.
    pub release: Option<(u8, u8)>,
}

/// "System Information (Type 1)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// The machine's maker; by default nvmm.
    pub manufacturer: Option<String>,
    /// The name; by default a KVM virtual machine.
    pub product: Option<String>,
    /// The version; by default nvmm's.
    pub version: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// The UUID.
    pub uuid: Option<Uuid>,
    /// The number in a catalogue.
    pub sku: Option<String>,
    /// The family.
    pub family: Option<String>,
}

/// "Baseboard (or Module) Information (Type 2)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseboard {
    /// The maker; by default nvmm.
    pub manufacturer: Option<String>,
    /// The name; by default a KVM virtual machine.
    pub product: Option<String>,
    /// The version; by default nvmm's.
    pub version: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// The owner's number.
    pub asset: Option<String>,
    /// The location in the chassis.
    pub location: Option<String>,
}

/// "System Enclosure or Chassis (Type 3)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chassis {
    /// The maker; by default nvmm.
    pub manufacturer: Option<String>,
    /// The version; by default nvmm's.
    pub version: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// The owner's number.
    pub asset: Option<String>,
    /// The number in a catalogue.
    pub sku: Option<String>,
}

/// "Processor Information (Type 4)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// The name of a socket, before its number; by default CPU.
    pub socket_prefix: Option<String>,
    /// The maker; by default the one in CPUID.
    pub manufacturer: Option<String>,
    /// The name; by default CPUID's brand string.
    pub version: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// The owner's number.
    pub asset: Option<String>,
    /// The part number.
    pub part: Option<String>,
    /// The highest rate in MHz; by default it is unknown.
    pub max_speed: Option<u16>,
    /// The rate in MHz; by default it is unknown.
    pub current_speed: Option<u16>,
}

/// "Memory Device (Type 17)".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryDevice {
    /// The name of its slot, before its number; by default DIMM.
    pub locator_prefix: Option<String>,
    /// The name of its bank.
    pub bank: Option<String>,
    /// The maker; by default nvmm.
    pub manufacturer: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// The owner's number.
    pub asset: Option<String>,
    /// The part number.
    pub part: Option<String>,
    /// The rate in MT/s; by default it is unknown.
    pub speed: Option<u16>,
}
