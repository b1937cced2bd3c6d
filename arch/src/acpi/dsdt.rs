//! ACPI 6.5, "Differentiated System Description Table (DSDT)": what can't be found by looking for it.

use acpi_tables::{
    Aml, AmlSink,
    aml::{
        AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Memory32Fixed, Name, Package,
        PackageBuilder, ResourceTemplate, Scope, ZERO,
    },
    sdt::Sdt,
};

use super::{
    hardware::IsaDevice,
    oem::{OEM_ID, OEM_REVISION, OEM_TABLE_ID},
};
use crate::layout;

const REVISION: u8 = 2;
const HEADER_LEN: u32 = 36;
/// Devices on a PCI bus.
const PCI_DEVICES: u8 = 32;
/// CONFIG_ADDRESS and CONFIG_DATA.
const PCI_CONFIG_LEN: u8 = 8;

#[expect(clippy::cast_possible_truncation, reason = "below 4 GiB")]
const PCI_MMIO: u32 = layout::PCI_MMIO as u32;
#[expect(clippy::cast_possible_truncation, reason = "below 4 GiB")]
const ECAM: u32 = layout::ECAM as u32;
#[expect(clippy::cast_possible_truncation, reason = "below 4 GiB")]
const ECAM_LEN: u32 = layout::ECAM_LEN as u32;

/// The DSDT of a machine that has these devices beside its PCI bus.
pub(super) fn dsdt(isa: &[IsaDevice]) -> Sdt {
    let mut aml = Vec::new();
    // "\_Sx (System States)": SLP_TYP for PM1a and PM1b.
    Name::new("\\_S5_".into(), &Package::new(vec![&layout::SLP_TYP_S5, &layout::SLP_TYP_S5, &ZERO, &ZERO]))
        .to_aml_bytes(&mut aml);
    let mut devices: Vec<&dyn Aml> = vec![&HostBridge, &MotherboardResources];
    devices.extend(isa.iter().map(|device| device as &dyn Aml));
    Scope::new("\\_SB_".into(), devices).to_aml_bytes(&mut aml);

    let mut dsdt = Sdt::new(*b"DSDT", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    dsdt.append_slice(&aml);
    dsdt
}

/// PCI Firmware Specification 3.3, "Identifying PCI Express host bridges".
struct HostBridge;

impl Aml for HostBridge {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let config = layout::PCI_CONFIG;
        Device::new(
            "PCI0".into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0A08")),
                &Name::new("_CID".into(), &EISAName::new("PNP0A03")),
                &Name::new("_UID".into(), &ZERO),
                &Name::new("_SEG".into(), &ZERO),
                &Name::new("_BBN".into(), &ZERO),
                &Name::new(
                    "_CRS".into(),
                    &ResourceTemplate::new(vec![
                        &AddressSpace::new_bus_number(0u16, 0),
                        &IO::new(config, config, 1, PCI_CONFIG_LEN),
                        &AddressSpace::new_io(0u16, config - 1, None),
                        &AddressSpace::new_io(config + u16::from(PCI_CONFIG_LEN), u16::MAX, None),
                        &AddressSpace::new_memory(
                            AddressSpaceCacheable::NotCacheable,
                            true,
                            PCI_MMIO,
                            ECAM - 1,
                            None,
                        ),
                    ]),
                ),
                &Name::new("_PRT".into(), &interrupt_routing()),
            ],
        )
        .to_aml_bytes(sink);
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

/// What the kernel must not give to PCI devices. Linux uses ECAM only where it is reserved like this.
struct MotherboardResources;

impl Aml for MotherboardResources {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Device::new(
            "MBRD".into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0C02")),
                &Name::new("_UID".into(), &ZERO),
                &Name::new(
                    "_CRS".into(),
                    &ResourceTemplate::new(vec![&Memory32Fixed::new(true, ECAM, ECAM_LEN)]),
                ),
            ],
        )
        .to_aml_bytes(sink);
    }
}
