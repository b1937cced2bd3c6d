//! `info lapic`, in QEMU's layout.

use std::fmt::{self, Display, Formatter};

use super::lapic::{DELIVERY_MODES, LocalApic, Lvt, NMI, timer_mode};

/// Destination shorthands with QEMU's names.
const SHORTHANDS: [&str; 4] = ["no-shorthand", "self", "all-self", "all"];

/// A vCPU's local APIC, shown like QEMU's monitor does.
#[derive(Debug)]
pub(super) struct InfoLapic<'a> {
    /// The vCPU.
    pub(super) vcpu: u32,
    /// The local APIC.
    pub(super) lapic: &'a LocalApic,
}

impl Display for InfoLapic<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lapic = self.lapic;
        writeln!(f, "dumping local APIC state for CPU {:<2}\n", self.vcpu)?;
        let timer = lapic.lvt_timer();
        let entries = [
            ("LVT0", lapic.lint0(), ""),
            ("LVT1", lapic.lint1(), ""),
            ("LVTPC", lapic.lvt_performance(), ""),
            ("LVTERR", lapic.lvt_error(), ""),
            ("LVTTHMR", lapic.lvt_thermal(), ""),
            ("LVTT", timer, timer_mode(timer)),
        ];
        entries.into_iter().try_for_each(|(name, entry, timer)| lvt(name, entry, timer, f))?;
        writeln!(
            f,
            "Timer\t DCR={:#x} (divide by {}) initial_count = {} current_count = {}",
            lapic.divide_configuration(),
            lapic.divisor(),
            lapic.initial_count(),
            lapic.current_count()
        )?;
        let spiv = lapic.spiv();
        writeln!(
            f,
            "SPIV\t {:#010x} APIC {}, focus={}, spurious vec {}",
            spiv.into_bits(),
            if spiv.enabled() { "enabled" } else { "disabled" },
            if spiv.focus_disabled() { "on" } else { "off" },
            spiv.vector()
        )?;
        icr(lapic, f)?;
        writeln!(f, "ESR\t {:#010x}", lapic.esr())?;
        let level = lapic.tmr();
        vectors("ISR", &lapic.isr(), &level, f)?;
        vectors("IRR", &lapic.irr(), &level, f)?;
        let (apr, tpr, dfr, ldr) =
            (lapic.apr(), lapic.tpr(), lapic.destination_format(), lapic.logical_destination());
        write!(f, "\nAPR {apr:#04x} TPR {tpr:#04x} DFR {dfr:#04x} LDR {ldr:#04x}")?;
        if dfr == 0 {
            write!(f, "(cluster {}: id {})", ldr >> 4, ldr & 0xf)?;
        }
        writeln!(f, " PPR {:#04x}", lapic.ppr())
    }
}

fn lvt(name: &str, lvt: Lvt, timer: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let polarity = if lvt.active_low() { "active-lo" } else { "active-hi" };
    let trigger = if lvt.level() { "level" } else { "edge" };
    let masked = if lvt.masked() { "masked" } else { "" };
    let pending = if lvt.send_pending() { "pending" } else { "" };
    let mode = DELIVERY_MODES[usize::from(lvt.delivery_mode())];
    write!(
        f,
        "{name}\t {:#010x} {polarity} {trigger:<5} {masked:<6} {pending:<7} {timer:<12} {mode:<6}",
        lvt.into_bits()
    )?;
    if lvt.delivery_mode() == NMI { writeln!(f) } else { writeln!(f, " (vec {})", lvt.vector()) }
}

fn icr(lapic: &LocalApic, f: &mut Formatter<'_>) -> fmt::Result {
    let icr = lapic.icr();
    writeln!(
        f,
        "ICR\t {:#010x} {} {} {} {}",
        icr.into_bits(),
        if icr.logical() { "logical" } else { "physical" },
        if icr.level() { "level" } else { "edge" },
        if icr.assert() { "assert" } else { "de-assert" },
        SHORTHANDS[usize::from(icr.shorthand())]
    )?;
    write!(f, "ICR2\t {:#010x}", lapic.icr2())?;
    let destination = lapic.icr_destination();
    match (icr.shorthand(), icr.logical(), lapic.is_x2apic(), lapic.destination_format()) {
        (1.., ..) => writeln!(f),
        (_, false, true, _) => writeln!(f, " cpu {destination} (X2APIC ID)"),
        (_, false, false, _) => writeln!(f, " cpu {destination} (APIC ID)"),
        // In x2APIC mode, logical destinations are always clusters.
        (_, true, true, _) => {
            writeln!(f, " cluster {} mask {:016b} (X2APIC ID)", destination >> 16, destination & 0xffff)
        }
        (_, true, false, 0xf) => writeln!(f, " mask {destination:08b} (APIC ID)"),
        (_, true, false, _) => {
            writeln!(f, " cluster {} mask {:04b} (APIC ID)", destination >> 4, destination & 0xf)
        }
    }
}

fn vectors(name: &str, vectors: &[u8], level: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{name}\t ")?;
    for vector in vectors {
        write!(f, "{vector}{} ", if level.contains(vector) { "(level)" } else { "" })?;
    }
    writeln!(f, "{}", if vectors.is_empty() { "(none)" } else { "" })
}

#[cfg(test)]
#[path = "info_lapic_test.rs"]
mod tests;
