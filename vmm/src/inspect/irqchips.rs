//! The interrupt controllers shared by all vCPUs: the two PICs and the IOAPIC.
#![expect(unsafe_code, reason = "reads a union by the number of the controller that KVM was asked for")]

use bitfield_struct::bitfield;
use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_irqchip, kvm_pic_state,
};
use kvm_ioctls::VmFd;
use serde_json::{Value, json};

use super::hex::text;
use crate::vm::{KvmError, kvm};

/// An entry of the IOAPIC's redirection table: 82093AA, "I/O Redirection Table Registers".
#[bitfield(u64)]
pub(super) struct Redirection {
    pub(super) vector: u8,
    #[bits(3)]
    pub(super) delivery_mode: u8,
    pub(super) logical: bool,
    send_pending: bool,
    pub(super) active_low: bool,
    pub(super) remote_irr: bool,
    pub(super) level: bool,
    pub(super) masked: bool,
    #[bits(39)]
    __: u64,
    pub(super) destination: u8,
}

/// Delivery modes of the IOAPIC with QEMU's names.
pub(super) const DELIVERY_MODES: [&str; 8] =
    ["fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT"];

/// The version of KVM's IOAPIC, which `KVM_GET_IRQCHIP` does not return.
pub(super) const IOAPIC_VERSION: u32 = 0x11;

/// The IOAPIC.
#[derive(Clone, Debug)]
pub(super) struct IoApic {
    pub(super) id: u32,
    /// The register that the guest has selected.
    pub(super) select: u32,
    /// Inputs that are high, or had an edge.
    pub(super) irr: u32,
    pub(super) pins: Vec<Redirection>,
}

/// The state of the PICs and the IOAPIC.
#[derive(Clone, Debug)]
pub(crate) struct IrqChips {
    /// The master and the slave.
    pub(super) pics: [kvm_pic_state; 2],
    pub(super) ioapic: IoApic,
}

impl IrqChips {
    /// Reads the state.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn read(vm: &VmFd) -> Result<Self, KvmError> {
        let get = |chip_id| {
            let mut chip = kvm_irqchip { chip_id, ..Default::default() };
            vm.get_irqchip(&mut chip).map_err(kvm("KVM_GET_IRQCHIP")).map(|()| chip.chip)
        };
        let (master, slave) = (get(KVM_IRQCHIP_PIC_MASTER)?, get(KVM_IRQCHIP_PIC_SLAVE)?);
        let ioapic = get(KVM_IRQCHIP_IOAPIC)?;
        // SAFETY: KVM has filled in this field, and it may have any bytes.
        let master = unsafe { master.pic };
        // SAFETY: as above.
        let slave = unsafe { slave.pic };
        // SAFETY: as above.
        let ioapic = unsafe { ioapic.ioapic };
        let pins = ioapic.redirtbl.iter().map(|entry| {
            // SAFETY: both fields of the union are the same 64 bits.
            Redirection::from_bits(unsafe { entry.bits })
        });
        let pins = pins.collect();
        let ioapic = IoApic { id: ioapic.id, select: ioapic.ioregsel, irr: ioapic.irr, pins };
        Ok(Self { pics: [master, slave], ioapic })
    }

    /// Returns the IOAPIC in the form of `nvmm-registers`.
    pub(crate) fn ioapic_json(&self) -> Value {
        let IoApic { id, select, irr, pins } = &self.ioapic;
        let pins = pins.iter().enumerate().map(|(pin, entry)| {
            json!({
                "pin": pin, "value": text(entry.into_bits()), "vector": entry.vector(),
                "delivery-mode": DELIVERY_MODES[usize::from(entry.delivery_mode())],
                "destination": entry.destination(),
                "destination-mode": if entry.logical() { "logical" } else { "physical" },
                "polarity": if entry.active_low() { "low" } else { "high" },
                "trigger": if entry.level() { "level" } else { "edge" },
                "masked": entry.masked(), "remote-irr": entry.remote_irr(), "irr": irr >> pin & 1 != 0,
            })
        });
        json!({ "id": id, "select": select, "pins": pins.collect::<Vec<_>>() })
    }

    /// Returns the PICs in the form of `nvmm-registers`: master and slave.
    pub(crate) fn pics_json(&self) -> Value {
        let pic = |pic: &kvm_pic_state| {
            json!({
                "irr": text(pic.irr), "imr": text(pic.imr), "isr": text(pic.isr), "elcr": text(pic.elcr),
                "irq-base": text(pic.irq_base), "initialized": pic.init_state == 0,
            })
        };
        self.pics.iter().map(pic).collect()
    }
}

#[cfg(test)]
#[path = "irqchips_test.rs"]
mod tests;
