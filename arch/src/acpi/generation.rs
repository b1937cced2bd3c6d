//! Microsoft's "Virtual Machine Generation ID": a number in guest memory that differs in each machine that is restored from a saved one.
//!
//! A Generic Event Device (ACPI 6.5, "Interrupt-signaled ACPI events") notifies the guest of a new number. The tables give its address, so
//! that the guest's firmware can choose it. A driver asks for it with the method `ADDR`, which also reports it to nvmm.

use acpi_tables::{
    Aml, AmlSink,
    aml::{
        Device, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, Interrupt, Method, Name,
        Notify, OpRegion, OpRegionSpace, Package, Path, ResourceTemplate, Return, Store, ZERO,
    },
};

use crate::layout;

/// ACPI 6.5, "Device Object Notifications": the device's status has changed. The specification of the generation ID names it.
const CHANGED: u8 = 0x80;

/// The bytes before each of the two places for the number's address: a name, and the prefix of a 32-bit constant.
const ADDRESS: &[u8] = b"\x08VGIA\x0c";
const RETURNED: &[u8] = b"\x08VGIP\x12\x08\x02\x0c";

/// The generation ID's device, and the Generic Event Device that interrupts for it.
pub(super) struct Generation;

/// A number that always takes 32 bits.
struct Bits32(u32);

impl Aml for Bits32 {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        /// `DWordPrefix`.
        const PREFIX: u8 = 0x0c;
        sink.byte(PREFIX);
        sink.dword(self.0);
    }
}

/// The offsets in `aml` where the address of the number belongs.
pub(super) fn places(aml: &[u8]) -> Vec<usize> {
    let places = [ADDRESS, RETURNED].into_iter().filter_map(|before| {
        Some(aml.windows(before.len()).position(|bytes| bytes == before)? + before.len())
    });
    places.collect()
}

impl Aml for Generation {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let name = Name::new("_DDN".into(), &"VM_Gen_Counter");
        Device::new(
            "VGEN".into(),
            vec![
                // Drivers match the compatible IDs: the first is the one of Microsoft's specification, the second is by ACPI's rules, and
                // Hyper-V has it too.
                &Name::new("_HID".into(), &"NVMM0001"),
                &Name::new("_CID".into(), &Package::new(vec![&"VM_Gen_Counter", &"VMGENCTR"])),
                &name,
                &OpRegion::new(
                    "VGIR".into(),
                    OpRegionSpace::SystemIO,
                    &layout::VM_GENERATION,
                    &layout::VM_GENERATION_LEN,
                ),
                &Field::new(
                    "VGIR".into(),
                    FieldAccessType::DWord,
                    FieldLockRule::NoLock,
                    FieldUpdateRule::Preserve,
                    vec![FieldEntry::Named(*b"VGIO", 32)],
                ),
                &Name::new("VGIA".into(), &Bits32(0)),
                &Name::new("VGIP".into(), &Package::new(vec![&Bits32(0), &ZERO])),
                &Method::new(
                    "ADDR".into(),
                    0,
                    true,
                    vec![
                        &Store::new(&Path::new("VGIO"), &Path::new("VGIA")),
                        &Return::new(&Path::new("VGIP")),
                    ],
                ),
            ],
        )
        .to_aml_bytes(sink);
        let interrupt = Interrupt::new(true, true, false, false, layout::VM_GENERATION_GSI);
        Device::new(
            "GED_".into(),
            vec![
                &Name::new("_HID".into(), &"ACPI0013"),
                &Name::new("_UID".into(), &ZERO),
                &Name::new("_CRS".into(), &ResourceTemplate::new(vec![&interrupt])),
                // The only event.
                &Method::new("_EVT".into(), 1, true, vec![&Notify::new(&Path::new("\\_SB_.VGEN"), &CHANGED)]),
            ],
        )
        .to_aml_bytes(sink);
    }
}
