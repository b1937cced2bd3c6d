//! The devices that the tables describe, as data.

use std::ops::Range;

use acpi_tables::{
    Aml, AmlSink,
    aml::{Device, EISAName, IO, Interrupt, Name, Path, ResourceTemplate},
};

/// The MC146818A and its successors, by their EISA id.
const RTC: HardwareId = HardwareId::Eisa("PNP0B00");
/// A keyboard at an i8042, by its EISA id.
const KEYBOARD: HardwareId = HardwareId::Eisa("PNP0303");

/// The parts of a machine that differ from one machine to the next. Parts of every machine (PM1 registers, reset register, PCI bus, IOAPIC)
/// are not here.
#[derive(Clone, Debug, Default)]
pub struct AcpiHardware {
    /// The APIC id of each vCPU.
    pub apic_ids: Vec<u32>,
    /// Devices with fixed ports. One with the id PNP0B00 is the CMOS RTC, and one with PNP0303 a keyboard at an i8042: the FADT mentions
    /// both, too.
    pub isa: Vec<IsaDevice>,
    /// There is a PM timer of 32 bits at [`PM_TIMER`](crate::layout::PM_TIMER).
    pub pm_timer: bool,
    /// There is a VM generation ID, whose address the guest writes to [`VM_GENERATION`](crate::layout::VM_GENERATION).
    pub vm_generation: bool,
    /// The machine has a VGA.
    pub vga: bool,
    /// The configuration space of PCI buses from 0 on, a MiB each; none if firmware has not switched it on.
    pub ecam: Option<Range<u64>>,
    /// The windows for PCI BARs below 4 GiB, none of them empty.
    pub pci_windows: Vec<Range<u64>>,
    /// The window for PCI BARs above 4 GiB, not empty.
    pub pci_mmio64: Option<Range<u64>>,
}

/// A device with fixed ports, and at most one interrupt line, edge-triggered and active high as ISA's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaDevice {
    /// The name in the namespace: capital letters, digits and underscores, such as `COM1`. No two may have the same.
    pub name: [u8; 4],
    /// The kind, by which drivers find it.
    pub hid: HardwareId,
    /// A number that tells it from others of its kind.
    pub uid: u8,
    /// The I/O ports, 255 at most. Of a keyboard's, only the first and the last belong to it.
    pub ports: Range<u16>,
    /// The interrupt line.
    pub gsi: Option<u32>,
}

/// ACPI 6.5, "_HID (Hardware ID)".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardwareId {
    /// Three capital letters and four hexadecimal digits, such as `PNP0501`.
    Eisa(&'static str),
    /// A string, such as `QEMU0001`.
    Acpi(&'static str),
}

impl AcpiHardware {
    pub(super) fn has_rtc(&self) -> bool {
        self.isa.iter().any(|device| device.hid == RTC)
    }

    pub(super) fn has_keyboard(&self) -> bool {
        self.isa.iter().any(|device| device.hid == KEYBOARD)
    }

    /// ACPI 6.5, "IA-PC Boot Architecture Flags": devices on an ISA bus that users see. The RTC and the keyboard have flags of their own.
    pub(super) fn has_legacy_devices(&self) -> bool {
        self.isa.iter().any(|device| device.hid != RTC && device.hid != KEYBOARD)
    }
}

impl IsaDevice {
    fn resources(&self) -> Vec<Box<dyn Aml>> {
        let ports = |first, len| Box::new(IO::new(first, first, 1, len)) as Box<dyn Aml>;
        let Range { start, end } = self.ports;
        let mut resources = if self.hid == KEYBOARD {
            // Data and status.
            vec![ports(start, 1), ports(end.saturating_sub(1), 1)]
        } else {
            vec![ports(start, u8::try_from(self.ports.len()).unwrap_or(u8::MAX))]
        };
        if let Some(gsi) = self.gsi {
            resources.push(Box::new(Interrupt::new(true, true, false, false, gsi)));
        }
        resources
    }
}

impl Aml for IsaDevice {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let resources = self.resources();
        let resources = resources.iter().map(|resource| &**resource).collect();
        Device::new(
            Path::new(&String::from_utf8_lossy(&self.name)),
            vec![
                &Name::new("_HID".into(), &self.hid),
                &Name::new("_UID".into(), &self.uid),
                &Name::new("_CRS".into(), &ResourceTemplate::new(resources)),
            ],
        )
        .to_aml_bytes(sink);
    }
}

impl Aml for HardwareId {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        match *self {
            Self::Eisa(id) => EISAName::new(id).to_aml_bytes(sink),
            Self::Acpi(id) => id.to_aml_bytes(sink),
        }
    }
}
