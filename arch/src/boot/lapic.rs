//! The local APIC's interrupt pins as firmware leaves them.

use kvm_bindings::kvm_lapic_state;

/// SDM 3A, "Local Vector Table": LINT0.
const LVT_LINT0: usize = 0x350;
/// LINT1.
const LVT_LINT1: usize = 0x360;
/// The byte of an LVT register that holds the delivery mode, in bits 2:0.
const DELIVERY_MODE_BYTE: usize = 1;
const DELIVERY_MODE_MASK: i8 = 0b111;
const EXT_INT: i8 = 0b111;
const NMI: i8 = 0b100;

/// Wires LINT0 to the PIC and LINT1 to NMI: MultiProcessor Specification, "Virtual Wire Mode".
pub fn set_lint(lapic: &mut kvm_lapic_state) {
    for (register, mode) in [(LVT_LINT0, EXT_INT), (LVT_LINT1, NMI)] {
        let byte = &mut lapic.regs[register + DELIVERY_MODE_BYTE];
        *byte = (*byte & !DELIVERY_MODE_MASK) | mode;
    }
}
