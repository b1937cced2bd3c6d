//! ACPI 6.5, "Differentiated System Description Table (DSDT)": the hardware that an OS can't discover by itself.

use std::ops::Range;

use acpi_tables::{
    Aml, AmlSink,
    aml::{
        AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Memory32Fixed, Name, Package,
        PackageBuilder, ResourceTemplate, Scope, ZERO,
    },
    sdt::Sdt,
};

use super::{
    generation::{self, Generation},
    hardware::AcpiHardware,
    oem::{OEM_ID, OEM_REVISION, OEM_TABLE_ID},
};
use crate::layout;

const REVISION: u8 = 2;
const HEADER_LEN: u32 = 36;
/// The number of devices on a PCI bus.
const PCI_DEVICES: u8 = 32;
/// Length in bytes of CONFIG_ADDRESS and CONFIG_DATA together.
const PCI_CONFIG_LEN: u8 = 8;

/// The DSDT of a machine that has `hardware`.
pub(super) fn dsdt(hardware: &AcpiHardware) -> Sdt {
    let mut aml = Vec::new();
    // "\_Sx (System States)": SLP_TYP for PM1a and PM1b.
    Name::new("\\_S5_".into(), &Package::new(vec![&layout::SLP_TYP_S5, &layout::SLP_TYP_S5, &ZERO, &ZERO]))
        .to_aml_bytes(&mut aml);
    let bridge = HostBridge { mmio: &hardware.pci_windows, mmio64: hardware.pci_mmio64.as_ref() };
    let motherboard = hardware.ecam.as_ref().map(|ecam| MotherboardResources { ecam });
    let mut devices: Vec<&dyn Aml> = vec![&bridge];
    devices.extend(motherboard.iter().map(|resources| resources as &dyn Aml));
    devices.extend(hardware.isa.iter().map(|device| device as &dyn Aml));
    devices.extend(hardware.vm_generation.then_some(&Generation as &dyn Aml));
    Scope::new("\\_SB_".into(), devices).to_aml_bytes(&mut aml);

    let mut dsdt = Sdt::new(*b"DSDT", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    dsdt.append_slice(&aml);
    dsdt
}

/// The offsets in a DSDT of the four-byte places for the address of the generation ID.
pub(super) fn generation_places(dsdt: &Sdt) -> Vec<usize> {
    let mut bytes = Vec::new();
    dsdt.to_aml_bytes(&mut bytes);
    generation::places(&bytes)
}

/// PCI Firmware Specification 3.3, "Identifying PCI Express host bridges".
struct HostBridge<'a> {
    mmio: &'a [Range<u64>],
    mmio64: Option<&'a Range<u64>>,
}

impl HostBridge<'_> {
    /// The addresses that the host bridge passes on to its bus.
    ///
    /// The window above RAM is cacheable, as in QEMU, and not prefetchable: the OS may put any BAR there, and use the memory type that the
    /// BAR's driver wants.
    fn resources(&self) -> Vec<Box<dyn Aml>> {
        let config = layout::PCI_CONFIG;
        let mut resources: Vec<Box<dyn Aml>> = vec![
            Box::new(AddressSpace::new_bus_number(0u16, 0)),
            Box::new(IO::new(config, config, 1, PCI_CONFIG_LEN)),
            Box::new(AddressSpace::new_io(0u16, config - 1, None)),
            Box::new(AddressSpace::new_io(config + u16::from(PCI_CONFIG_LEN), u16::MAX, None)),
        ];
        let below_4g = self.mmio.iter().map(|window| memory(AddressSpaceCacheable::NotCacheable, window));
        resources.extend(below_4g);
        resources.extend(self.mmio64.map(|window| memory(AddressSpaceCacheable::Cacheable, window)));
        resources
    }
}

impl Aml for HostBridge<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let resources = self.resources();
        let resources = resources.iter().map(|resource| &**resource).collect();
        Device::new(
            "PCI0".into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0A08")),
                &Name::new("_CID".into(), &EISAName::new("PNP0A03")),
                &Name::new("_UID".into(), &ZERO),
                &Name::new("_SEG".into(), &ZERO),
                &Name::new("_BBN".into(), &ZERO),
                &Name::new("_CRS".into(), &ResourceTemplate::new(resources)),
                &Name::new("_PRT".into(), &interrupt_routing()),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// A window that can be read and written, in the shortest descriptor.
fn memory(cacheable: AddressSpaceCacheable, window: &Range<u64>) -> Box<dyn Aml> {
    let (first, last) = (window.start, window.end - 1);
    match (u32::try_from(first), u32::try_from(last)) {
        (Ok(first), Ok(last)) => Box::new(AddressSpace::new_memory(cacheable, true, first, last, None)),
        _ => Box::new(AddressSpace::new_memory(cacheable, true, first, last, None)),
    }
}

/// ACPI 6.5, "_PRT (PCI Routing Table)": the four pins of every device, wired to the IOAPIC.
fn interrupt_routing() -> PackageBuilder {
    const ANY_FUNCTION: u32 = 0xffff;
    let mut routes = PackageBuilder::new();
    for device in 0..PCI_DEVICES {
        let address = u32::from(device) << 16 | ANY_FUNCTION;
        for pin in 0..layout::PCI_INTX_PINS {
            let gsi = layout::pci_intx_gsi(device, pin);
            routes.add_element(&Package::new(vec![&address, &pin, &ZERO, &gsi]));
        }
    }
    routes
}

/// The addresses that the kernel must not give to PCI devices. Linux uses ECAM only where it is reserved like this.
struct MotherboardResources<'a> {
    ecam: &'a Range<u64>,
}

impl Aml for MotherboardResources<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let &Range { start, end } = self.ecam;
        let ecam: Box<dyn Aml> = match (u32::try_from(start), u32::try_from(end - start)) {
            (Ok(start), Ok(len)) => Box::new(Memory32Fixed::new(true, start, len)),
            _ => memory(AddressSpaceCacheable::NotCacheable, self.ecam),
        };
        Device::new(
            "MBRD".into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0C02")),
                &Name::new("_UID".into(), &ZERO),
                &Name::new("_CRS".into(), &ResourceTemplate::new(vec![&*ecam])),
            ],
        )
        .to_aml_bytes(sink);
    }
}
