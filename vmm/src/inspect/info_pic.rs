//! `info pic`, in QEMU's layout.

use std::fmt::{self, Display, Formatter};

use super::irqchips::{DELIVERY_MODES, IOAPIC_VERSION, IoApic, IrqChips};

/// The first register of the IOAPIC's redirection table.
const REDIRECTION_TABLE: u32 = 0x10;

/// The interrupt controllers, shown like QEMU's monitor does.
#[derive(Debug)]
pub(super) struct InfoPic<'a>(pub(super) &'a IrqChips);

impl Display for InfoPic<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        ioapic(&self.0.ioapic, f)?;
        for (number, pic) in self.0.pics.iter().enumerate().rev() {
            writeln!(
                f,
                "pic{number}: irr={:02x} imr={:02x} isr={:02x} hprio={} irq_base={:02x} rr_sel={} elcr={:02x} fnm={}",
                pic.irr,
                pic.imr,
                pic.isr,
                pic.priority_add,
                pic.irq_base,
                pic.read_reg_select,
                pic.elcr,
                pic.special_fully_nested_mode
            )?;
        }
        Ok(())
    }
}

fn ioapic(IoApic { id, select, irr, pins }: &IoApic, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "ioapic0: ver={IOAPIC_VERSION:#x} id={id:#04x} sel={select:#04x}")?;
    match select.checked_sub(REDIRECTION_TABLE) {
        Some(register) => writeln!(f, " (redir[{}])", register / 2)?,
        None => writeln!(f)?,
    }
    let mut remote_irr = 0;
    for (number, pin) in pins.iter().enumerate() {
        // QEMU shows four bits of an APIC id; KVM compares eight.
        writeln!(
            f,
            "  pin {number:<2} {:#018x} dest={:x} vec={:<3} {} {:<5} {:<6} {:<6} {}",
            pin.into_bits(),
            pin.destination(),
            pin.vector(),
            if pin.active_low() { "active-lo" } else { "active-hi" },
            if pin.level() { "level" } else { "edge" },
            if pin.masked() { "masked" } else { "" },
            DELIVERY_MODES[usize::from(pin.delivery_mode())],
            if pin.logical() { "logical" } else { "physical" },
        )?;
        remote_irr |= u32::from(pin.level() && pin.remote_irr()) << number;
    }
    inputs("  IRR", *irr, pins.len(), f)?;
    inputs("  Remote IRR", remote_irr, pins.len(), f)
}

/// Shows the inputs in a bitmap.
fn inputs(name: &str, bitmap: u32, count: usize, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{name:<10} ")?;
    if bitmap == 0 {
        return writeln!(f, "(none)");
    }
    for input in (0..count).filter(|input| bitmap >> input & 1 != 0) {
        write!(f, "{input:<2} ")?;
    }
    writeln!(f)
}

#[cfg(test)]
#[path = "info_pic_test.rs"]
mod tests;
