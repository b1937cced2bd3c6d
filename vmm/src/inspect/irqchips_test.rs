use super::{super::test_machine::TestMachine, *};

#[test]
fn the_controllers_are_as_the_guest_set_them() {
    let Some(machine) = TestMachine::new(1) else { return };
    let halted = machine.halted();
    let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_IOAPIC, ..Default::default() };
    halted.vm.get_irqchip(&mut chip).unwrap();
    let entry = Redirection::new()
        .with_vector(0x24)
        .with_level(true)
        .with_active_low(true)
        .with_logical(true)
        .with_delivery_mode(1)
        .with_destination(3);
    // SAFETY: KVM has filled in this field.
    let ioapic = unsafe { &mut chip.chip.ioapic };
    ioapic.redirtbl[4].bits = entry.into_bits();
    ioapic.id = 2;
    halted.vm.set_irqchip(&chip).unwrap();
    let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_PIC_MASTER, ..Default::default() };
    halted.vm.get_irqchip(&mut chip).unwrap();
    // SAFETY: as above.
    let pic = unsafe { &mut chip.chip.pic };
    (pic.imr, pic.irq_base) = (0xb8, 0x20);
    halted.vm.set_irqchip(&chip).unwrap();

    let chips = IrqChips::read(halted.vm).unwrap();
    assert_eq!((chips.pics[0].imr, chips.pics[0].irq_base, chips.pics[1].imr), (0xb8, 0x20, 0));
    let json = chips.ioapic_json();
    assert_eq!(json["id"], 2);
    let expected = json!({
        "pin": 4, "value": "0x30000000000a924", "vector": 0x24, "delivery-mode": "lowest", "destination": 3,
        "destination-mode": "logical", "polarity": "low", "trigger": "level", "masked": false,
        "remote-irr": false, "irr": false,
    });
    assert_eq!(json["pins"][4], expected);
    assert_eq!(json["pins"][5]["masked"], true);
    assert_eq!(chips.pics_json()[0]["imr"], "0xb8");
}
