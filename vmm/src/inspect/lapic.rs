//! A vCPU's local APIC.

use bitfield_struct::bitfield;
use kvm_bindings::kvm_lapic_state;
use kvm_ioctls::VcpuFd;
use serde_json::{Value, json};

use super::hex::text;
use crate::vm::{KvmError, kvm};

/// IA32_APIC_BASE.
#[bitfield(u64)]
pub(super) struct ApicBase {
    __: u8,
    bsp: bool,
    __: bool,
    /// x2APIC mode.
    extd: bool,
    /// The APIC is enabled.
    enable: bool,
    #[bits(52)]
    __: u64,
}

/// SDM 3A, "Local Vector Table".
#[bitfield(u32)]
pub(super) struct Lvt {
    pub(super) vector: u8,
    #[bits(3)]
    pub(super) delivery_mode: u8,
    __: bool,
    pub(super) send_pending: bool,
    pub(super) active_low: bool,
    remote_irr: bool,
    pub(super) level: bool,
    pub(super) masked: bool,
    pub(super) periodic: bool,
    pub(super) tsc_deadline: bool,
    #[bits(13)]
    __: u16,
}

/// SDM 3A, "Interrupt Command Register (ICR)": its lower half.
#[bitfield(u32)]
pub(super) struct Icr {
    vector: u8,
    #[bits(3)]
    delivery_mode: u8,
    pub(super) logical: bool,
    send_pending: bool,
    __: bool,
    pub(super) assert: bool,
    pub(super) level: bool,
    #[bits(2)]
    __: u8,
    #[bits(2)]
    pub(super) shorthand: u8,
    #[bits(12)]
    __: u16,
}

/// SDM 3A, "Spurious-Interrupt Vector Register (SVR)".
#[bitfield(u32)]
pub(super) struct Spiv {
    pub(super) vector: u8,
    pub(super) enabled: bool,
    pub(super) focus_disabled: bool,
    #[bits(22)]
    __: u32,
}

/// Delivery mode of an NMI.
pub(super) const NMI: u8 = 4;

/// Delivery modes with QEMU's names.
pub(super) const DELIVERY_MODES: [&str; 8] = ["Fixed", "...", "SMI", "...", "NMI", "INIT", "...", "ExtINT"];

/// A local APIC's registers.
#[derive(Clone, Debug)]
pub(crate) struct LocalApic {
    base: ApicBase,
    page: kvm_lapic_state,
}

impl LocalApic {
    /// Reads the local APIC of a vCPU.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn read(fd: &VcpuFd) -> Result<Self, KvmError> {
        let sregs = fd.get_sregs().map_err(kvm("KVM_GET_SREGS"))?;
        let page = fd.get_lapic().map_err(kvm("KVM_GET_LAPIC"))?;
        Ok(Self::new(sregs.apic_base, page))
    }

    /// A local APIC with this IA32_APIC_BASE and page of registers.
    pub(super) fn new(base: u64, page: kvm_lapic_state) -> Self {
        Self { base: base.into(), page }
    }

    /// Returns whether it is in x2APIC mode.
    pub(super) fn is_x2apic(&self) -> bool {
        self.base.extd()
    }

    /// The register at an offset in the page.
    fn register(&self, offset: usize) -> u32 {
        let byte = |place: usize| self.page.regs.get(offset + place).map_or(0, |byte| byte.cast_unsigned());
        u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    }

    /// The vectors whose bits are set in the eight registers from an offset on.
    fn vectors(&self, offset: usize) -> Vec<u8> {
        let is_set = |vector: &u8| {
            let register = self.register(offset + usize::from(vector / 32) * 0x10);
            register >> (vector % 32) & 1 != 0
        };
        (0..=u8::MAX).filter(is_set).collect()
    }

    /// The APIC id.
    pub(super) fn id(&self) -> u32 {
        let id = self.register(0x20);
        // With 32-bit ids KVM has the whole register; otherwise the id is in the upper eight bits in both modes.
        if self.is_x2apic() && id < 1 << 24 { id } else { id >> 24 }
    }

    /// Task priority.
    pub(super) fn tpr(&self) -> u32 {
        self.register(0x80)
    }

    /// Arbitration priority.
    pub(super) fn apr(&self) -> u32 {
        self.register(0x90)
    }

    /// Processor priority.
    pub(super) fn ppr(&self) -> u32 {
        self.register(0xa0)
    }

    /// The logical destination: in x2APIC mode all bits; otherwise the upper eight bits.
    pub(super) fn logical_destination(&self) -> u32 {
        let ldr = self.register(0xd0);
        if self.is_x2apic() { ldr } else { ldr >> 24 }
    }

    /// The model of logical destinations: 15 for flat, 0 for cluster.
    pub(super) fn destination_format(&self) -> u32 {
        self.register(0xe0) >> 28
    }

    /// The register for spurious interrupts, which also tells whether software has enabled the APIC.
    pub(super) fn spiv(&self) -> Spiv {
        self.register(0xf0).into()
    }

    /// Interrupts in service.
    pub(super) fn isr(&self) -> Vec<u8> {
        self.vectors(0x100)
    }

    /// Interrupts that are level-triggered.
    pub(super) fn tmr(&self) -> Vec<u8> {
        self.vectors(0x180)
    }

    /// Interrupts that wait for the processor.
    pub(super) fn irr(&self) -> Vec<u8> {
        self.vectors(0x200)
    }

    /// Error status.
    pub(super) fn esr(&self) -> u32 {
        self.register(0x280)
    }

    /// The last interrupt sent to another processor.
    pub(super) fn icr(&self) -> Icr {
        self.register(0x300).into()
    }

    /// The upper half of the ICR.
    pub(super) fn icr2(&self) -> u32 {
        self.register(0x310)
    }

    /// The destination in the ICR.
    pub(super) fn icr_destination(&self) -> u32 {
        if self.is_x2apic() { self.icr2() } else { self.icr2() >> 24 }
    }

    /// The entry of LINT0, to which the PIC is connected.
    pub(super) fn lint0(&self) -> Lvt {
        self.register(0x350).into()
    }

    /// The entry of LINT1, to which NMIs are connected.
    pub(super) fn lint1(&self) -> Lvt {
        self.register(0x360).into()
    }

    /// The entry of the performance counters.
    pub(super) fn lvt_performance(&self) -> Lvt {
        self.register(0x340).into()
    }

    /// The entry of the APIC's own errors.
    pub(super) fn lvt_error(&self) -> Lvt {
        self.register(0x370).into()
    }

    /// The entry of the thermal sensor.
    pub(super) fn lvt_thermal(&self) -> Lvt {
        self.register(0x330).into()
    }

    /// The entry of the timer.
    pub(super) fn lvt_timer(&self) -> Lvt {
        self.register(0x320).into()
    }

    /// The timer's initial value.
    pub(super) fn initial_count(&self) -> u32 {
        self.register(0x380)
    }

    /// The timer's current value.
    pub(super) fn current_count(&self) -> u32 {
        self.register(0x390)
    }

    /// The timer's divide configuration.
    pub(super) fn divide_configuration(&self) -> u32 {
        self.register(0x3e0) & 0xb
    }

    /// The divisor of the timer's clock: SDM 3A, "Divide Configuration Register".
    pub(super) fn divisor(&self) -> u32 {
        let configuration = self.divide_configuration();
        match (configuration & 8) >> 1 | configuration & 3 {
            7 => 1,
            power => 2 << power,
        }
    }

    /// Returns the local APIC in the form of `nvmm-registers`.
    pub(crate) fn to_json(&self) -> Value {
        let mode = match (self.base.enable(), self.base.extd()) {
            (false, _) => "disabled",
            (true, false) => "xapic",
            (true, true) => "x2apic",
        };
        json!({
            "mode": mode, "base": text(self.base.into_bits()), "bsp": self.base.bsp(),
            "id": self.id(),
            "version": text(self.register(0x30)),
            "tpr": text(self.tpr()), "apr": text(self.apr()), "ppr": text(self.ppr()),
            "ldr": text(self.register(0xd0)), "dfr": text(self.register(0xe0)),
            "spiv": text(self.spiv().into_bits()), "esr": text(self.esr()),
            "isr": self.isr(), "irr": self.irr(), "tmr": self.tmr(),
            "icr": { "low": text(self.icr().into_bits()), "high": text(self.icr2()) },
            "lvt": {
                "timer": lvt(self.lvt_timer()), "thermal": lvt(self.lvt_thermal()),
                "performance": lvt(self.lvt_performance()), "lint0": lvt(self.lint0()),
                "lint1": lvt(self.lint1()), "error": lvt(self.lvt_error()),
            },
            "timer": {
                "mode": timer_mode(self.lvt_timer()), "divisor": self.divisor(),
                "initial-count": self.initial_count(), "current-count": self.current_count(),
            },
        })
    }
}

/// The mode of a timer with this entry.
pub(super) fn timer_mode(lvt: Lvt) -> &'static str {
    match (lvt.periodic(), lvt.tsc_deadline()) {
        (true, _) => "periodic",
        (false, true) => "tsc-deadline",
        (false, false) => "one-shot",
    }
}

fn lvt(lvt: Lvt) -> Value {
    json!({
        "value": text(lvt.into_bits()), "vector": lvt.vector(), "masked": lvt.masked(),
        "delivery-mode": DELIVERY_MODES[usize::from(lvt.delivery_mode())],
    })
}

#[cfg(test)]
#[path = "lapic_test.rs"]
mod tests;
