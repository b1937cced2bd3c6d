use super::{super::test_machine::page, *};

#[test]
fn vectors_are_bits_of_eight_registers() {
    let registers = [(0x100, 1 << 31), (0x170, 1 << 31), (0x210, 0b110), (0x180, 1 << 31)];
    let lapic = LocalApic::new(0xfee0_0900, page(&registers));
    assert_eq!(lapic.isr(), [31, 255]);
    assert_eq!(lapic.irr(), [33, 34]);
    assert_eq!(lapic.tmr(), [31]);
}

#[test]
fn the_modes_differ_in_ids_and_destinations() {
    let registers = [(0x20, 5 << 24), (0xd0, 0x2000_0000), (0x310, 0x0300_0000)];
    let xapic = LocalApic::new(0xfee0_0800, page(&registers));
    assert_eq!((xapic.id(), xapic.logical_destination(), xapic.icr_destination()), (5, 0x20, 3));
    assert_eq!(xapic.to_json()["mode"], "xapic");
    // KVM's form of an ID without 32-bit IDs, and with them.
    let registers = [(0x20, 5 << 24), (0xd0, 0x0001_0020), (0x310, 0x103)];
    let x2apic = LocalApic::new(0xfee0_0d00, page(&registers));
    assert_eq!((x2apic.id(), x2apic.logical_destination(), x2apic.icr_destination()), (5, 0x1_0020, 0x103));
    let wide = LocalApic::new(0xfee0_0d00, page(&[(0x20, 300)]));
    assert_eq!(wide.id(), 300);
    let json = x2apic.to_json();
    assert_eq!((&json["mode"], &json["bsp"]), (&json!("x2apic"), &json!(true)));
    assert_eq!(LocalApic::new(0, page(&[])).to_json()["mode"], "disabled");
}

/// SDM 3A, "Divide Configuration Register".
#[test]
fn the_timer_divides_by_powers_of_two() {
    let divisor = |configuration| LocalApic::new(0, page(&[(0x3e0, configuration)])).divisor();
    let configurations = [0, 1, 2, 3, 8, 9, 10, 11];
    assert_eq!(configurations.map(divisor), [2, 4, 8, 16, 32, 64, 128, 1]);
}

#[test]
fn an_entry_is_shown_as_text() {
    let json = LocalApic::new(0, page(&[(0x320, 0x4_00ec), (0x360, 0x1_0400), (0x380, 9)])).to_json();
    assert_eq!(json["timer"]["mode"], "tsc-deadline");
    assert_eq!(json["timer"]["initial-count"], 9);
    assert_eq!(
        json["lvt"]["timer"],
        json!({
            "value": "0x400ec", "vector": 0xec, "masked": false, "delivery-mode": "Fixed",
        })
    );
    assert_eq!(json["lvt"]["lint1"]["delivery-mode"], "NMI");
    assert_eq!(json["lvt"]["lint1"]["masked"], true);
}
