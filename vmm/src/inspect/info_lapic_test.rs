use super::{super::test_machine::page, *};

fn shown(base: u64, registers: &[(usize, u32)]) -> String {
    InfoLapic { vcpu: 0, lapic: &LocalApic::new(base, page(registers)) }.to_string()
}

fn line(text: &str, start: &str) -> String {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
}

/// The text is QEMU 7.2's output for a local APIC with these registers.
#[test]
fn a_local_apic_is_shown_as_qemu_shows_it() {
    let registers = [
        (0xe0, 0xffff_ffff),
        (0xf0, 0x1ff),
        (0x300, 0xc4610),
        (0x320, 0x10000),
        (0x330, 0x10000),
        (0x340, 0x10000),
        (0x350, 0x8700),
        (0x360, 0x8400),
        (0x370, 0x10000),
    ];
    let expected = "dumping local APIC state for CPU 0 \n
LVT0\t 0x00008700 active-hi level                             ExtINT (vec 0)
LVT1\t 0x00008400 active-hi level                             NMI   \n\
LVTPC\t 0x00010000 active-hi edge  masked                      Fixed  (vec 0)
LVTERR\t 0x00010000 active-hi edge  masked                      Fixed  (vec 0)
LVTTHMR\t 0x00010000 active-hi edge  masked                      Fixed  (vec 0)
LVTT\t 0x00010000 active-hi edge  masked         one-shot     Fixed  (vec 0)
Timer\t DCR=0x0 (divide by 2) initial_count = 0 current_count = 0
SPIV\t 0x000001ff APIC enabled, focus=off, spurious vec 255
ICR\t 0x000c4610 physical edge assert all
ICR2\t 0x00000000
ESR\t 0x00000000
ISR\t (none)
IRR\t (none)

APR 0x00 TPR 0x00 DFR 0x0f LDR 0x00 PPR 0x00
";
    assert_eq!(shown(0xfee0_0900, &registers), expected);
}

#[test]
fn vectors_tell_which_were_level_triggered() {
    let text = shown(0, &[(0x100, 0x8000_0000), (0x180, 0x8000_0000), (0x110, 1)]);
    assert_eq!(line(&text, "ISR"), "ISR\t 31(level) 32 ");
}

#[test]
fn destinations_are_shown_by_mode() {
    let [flat, cluster] = [u32::MAX, 0x0fff_ffff];
    let icr2 =
        |base, format, icr, icr2| line(&shown(base, &[(0xe0, format), (0x300, icr), (0x310, icr2)]), "ICR2");
    let (xapic, x2apic, logical) = (0xfee0_0800, 0xfee0_0c00, 0x800);
    assert_eq!(icr2(xapic, flat, 0, 0x0300_0000), "ICR2\t 0x03000000 cpu 3 (APIC ID)");
    assert_eq!(icr2(xapic, flat, logical, 0x0300_0000), "ICR2\t 0x03000000 mask 00000011 (APIC ID)");
    assert_eq!(icr2(xapic, cluster, logical, 0x2300_0000), "ICR2\t 0x23000000 cluster 2 mask 0011 (APIC ID)");
    assert_eq!(icr2(x2apic, flat, 0, 0x103), "ICR2\t 0x00000103 cpu 259 (X2APIC ID)");
    assert_eq!(
        icr2(x2apic, flat, logical, 0x1_0003),
        "ICR2\t 0x00010003 cluster 1 mask 0000000000000011 (X2APIC ID)"
    );
    assert_eq!(icr2(x2apic, flat, 0xc_0000, 0x103), "ICR2\t 0x00000103");
    assert!(shown(xapic, &[(0xe0, cluster), (0xd0, 0x2300_0000)]).contains(" LDR 0x23(cluster 2: id 3) PPR"));
}
