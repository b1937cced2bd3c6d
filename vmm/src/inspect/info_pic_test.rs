use kvm_bindings::kvm_pic_state;

use super::{super::irqchips::Redirection, *};

/// Controllers that only firmware has touched.
fn chips() -> IrqChips {
    let masked = Redirection::new().with_masked(true);
    let pic = |irr, imr, irq_base, elcr| kvm_pic_state { irr, imr, irq_base, elcr, ..Default::default() };
    IrqChips {
        pics: [pic(1, 0xb8, 8, 0), pic(0, 0x8e, 0x70, 0xc)],
        ioapic: IoApic { id: 0, select: 0, irr: 0, pins: vec![masked; 24] },
    }
}

/// The lines are QEMU 7.2's output for controllers in this state.
#[test]
fn the_controllers_are_shown_as_qemu_shows_them() {
    let text = InfoPic(&chips()).to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 29);
    assert_eq!(lines[0], "ioapic0: ver=0x11 id=0x00 sel=0x00");
    assert_eq!(lines[1], "  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical");
    assert_eq!(
        lines[24],
        "  pin 23 0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical"
    );
    assert_eq!(lines[25], "  IRR      (none)");
    assert_eq!(lines[26], "  Remote IRR (none)");
    assert_eq!(lines[27], "pic1: irr=00 imr=8e isr=00 hprio=0 irq_base=70 rr_sel=0 elcr=0c fnm=0");
    assert_eq!(lines[28], "pic0: irr=01 imr=b8 isr=00 hprio=0 irq_base=08 rr_sel=0 elcr=00 fnm=0");
}

#[test]
fn an_input_in_use_is_shown() {
    let mut chips = chips();
    chips.ioapic.pins[10] = Redirection::from_bits(0x0f00_0000_0000_c9a2);
    (chips.ioapic.select, chips.ioapic.irr) = (0x24, 1 << 10 | 1);
    let text = InfoPic(&chips).to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "ioapic0: ver=0x11 id=0x00 sel=0x24 (redir[10])");
    assert_eq!(lines[11], "  pin 10 0x0f0000000000c9a2 dest=f vec=162 active-hi level        lowest logical");
    assert_eq!(lines[25], "  IRR      0  10 ");
    assert_eq!(lines[26], "  Remote IRR 10 ");
}
