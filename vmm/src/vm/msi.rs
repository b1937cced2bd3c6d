//! Message-signalled interrupts: from nvmm's threads by `KVM_SIGNAL_MSI`, and from kernel threads by irqfd.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use devices::irq::{Msi, MsiMessage};
use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER,
    KVM_IRQCHIP_PIC_SLAVE, KvmIrqRouting, kvm_irq_routing_entry, kvm_irq_routing_irqchip,
    kvm_irq_routing_msi, kvm_msi,
};
use kvm_ioctls::VmFd;
use vmm_sys_util::eventfd::EventFd;

use crate::ioctls::again;

/// The number of inputs of a PIC, and of the IOAPIC. The GSIs of messages are above these.
const PIC_PINS: u32 = 8;
const IOAPIC_PINS: u32 = 24;
/// `KVM_MAX_IRQ_ROUTES`: the upper bound of GSIs.
const MAX_GSIS: u32 = 4096;

/// A message-signalled interrupt.
///
/// nvmm's own threads send it by `KVM_SIGNAL_MSI`: an irqfd would save nothing there, and each message that the guest programs would cost a
/// new routing table and KVM's grace period for it. Only an interrupt that the kernel sends gets a route.
#[derive(Debug)]
pub(super) struct KvmMsi {
    routes: Arc<Routes>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    message: MsiMessage,
    /// The GSI of its route.
    gsi: Option<u32>,
    /// The number of events that are attached. At 0, the route may still be that of an earlier message.
    attached: usize,
}

impl KvmMsi {
    pub(super) fn new(routes: Arc<Routes>) -> Self {
        Self { routes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Msi for KvmMsi {
    fn set_message(&self, message: MsiMessage) {
        let mut state = self.state();
        state.message = message;
        if let (Some(gsi), 1..) = (state.gsi, state.attached)
            && let Err(error) = self.routes.set(gsi, message)
        {
            log::debug!("KVM_SET_GSI_ROUTING with {message:x?}: {error}");
        }
    }

    fn signal(&self) {
        let message = self.state().message;
        let Routes { vm, x2apic_ids, .. } = &*self.routes;
        match again(|| vm.signal_msi(to_kvm(message, *x2apic_ids))) {
            Ok(_) => {}
            // A mistake of the guest: no local APIC accepts such a message.
            Err(error) if [libc::EPERM, libc::EINVAL].contains(&error.errno()) => {
                log::debug!("KVM_SIGNAL_MSI of {message:x?}: {error}");
            }
            Err(error) => log::error!("KVM_SIGNAL_MSI: the guest misses an interrupt: {error}"),
        }
    }

    fn attach(&self, event: &EventFd) -> io::Result<()> {
        let mut state = self.state();
        let gsi = match state.gsi {
            Some(gsi) => gsi,
            None => *state.gsi.insert(self.routes.allocate()?),
        };
        if state.attached == 0 {
            self.routes.set(gsi, state.message)?;
        }
        again(|| self.routes.vm.register_irqfd(event, gsi))?;
        state.attached += 1;
        Ok(())
    }

    fn detach(&self, event: &EventFd) {
        let mut state = self.state();
        if let Some(gsi) = state.gsi {
            state.attached = state.attached.saturating_sub(1);
            if let Err(error) = again(|| self.routes.vm.unregister_irqfd(event, gsi)) {
                log::error!("KVM_IRQFD of GSI {gsi}: {error}");
            }
        }
    }
}

impl Drop for KvmMsi {
    fn drop(&mut self) {
        if let Some(gsi) = self.state().gsi {
            self.routes.free(gsi);
        }
    }
}

/// KVM's routing table: the routes of the interrupt controllers' inputs, as KVM sets them up itself, and those of messages.
#[derive(Debug)]
pub(super) struct Routes {
    vm: Arc<VmFd>,
    x2apic_ids: bool,
    /// The messages by GSI. A GSI without a message is in use, but has no route.
    messages: Mutex<BTreeMap<u32, Option<MsiMessage>>>,
}

impl Routes {
    /// The table of a machine whose messages have 32-bit APIC IDs if `x2apic_ids`.
    pub(super) fn new(vm: Arc<VmFd>, x2apic_ids: bool) -> Self {
        Self { vm, x2apic_ids, messages: Mutex::default() }
    }

    fn allocate(&self) -> io::Result<u32> {
        let mut messages = self.messages();
        let free = (IOAPIC_PINS..MAX_GSIS).find(|gsi| !messages.contains_key(gsi));
        let gsi = free.ok_or(io::ErrorKind::StorageFull)?;
        messages.insert(gsi, None);
        Ok(gsi)
    }

    /// Frees a GSI that has no irqfd. Its route disappears at the next change of another.
    fn free(&self, gsi: u32) {
        self.messages().remove(&gsi);
    }

    /// Routes `gsi` to `message`. If KVM refuses the message, the GSI has no route.
    fn set(&self, gsi: u32, message: MsiMessage) -> io::Result<()> {
        let mut messages = self.messages();
        if messages.insert(gsi, Some(message)) == Some(Some(message)) {
            return Ok(());
        }
        let set = self.write(&messages);
        if set.is_err() {
            // A message that KVM refuses must not block the others.
            messages.insert(gsi, None);
            self.write(&messages)?;
        }
        set
    }

    fn write(&self, messages: &BTreeMap<u32, Option<MsiMessage>>) -> io::Result<()> {
        let messages = messages.iter().filter_map(|(&gsi, message)| Some((gsi, (*message)?)));
        let messages = messages.map(|(gsi, message)| message_route(gsi, to_kvm(message, self.x2apic_ids)));
        let entries: Vec<_> = pin_routes().chain(messages).collect();
        let table = KvmIrqRouting::from_entries(&entries).map_err(io::Error::other)?;
        Ok(again(|| self.vm.set_gsi_routing(&table))?)
    }

    fn messages(&self) -> MutexGuard<'_, BTreeMap<u32, Option<MsiMessage>>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// KVM's initial routes: GSIs 0 to 15 lead to both PICs and the IOAPIC, those up to 23 to the IOAPIC.
fn pin_routes() -> impl Iterator<Item = kvm_irq_routing_entry> {
    let route = |gsi, irqchip, pin| {
        let mut entry = kvm_irq_routing_entry { gsi, type_: KVM_IRQ_ROUTING_IRQCHIP, ..Default::default() };
        entry.u.irqchip = kvm_irq_routing_irqchip { irqchip, pin };
        entry
    };
    (0..IOAPIC_PINS).flat_map(move |gsi| {
        let pic = match gsi / PIC_PINS {
            0 => Some(KVM_IRQCHIP_PIC_MASTER),
            1 => Some(KVM_IRQCHIP_PIC_SLAVE),
            _ => None,
        };
        let to_pic = pic.map(|pic| route(gsi, pic, gsi % PIC_PINS));
        [route(gsi, KVM_IRQCHIP_IOAPIC, gsi)].into_iter().chain(to_pic)
    })
}

fn message_route(gsi: u32, message: kvm_msi) -> kvm_irq_routing_entry {
    let kvm_msi { address_lo, address_hi, data, .. } = message;
    let mut entry = kvm_irq_routing_entry { gsi, type_: KVM_IRQ_ROUTING_MSI, ..Default::default() };
    entry.u.msi = kvm_irq_routing_msi { address_lo, address_hi, data, ..Default::default() };
    entry
}

/// With 32-bit APIC IDs, KVM takes bits 31:8 of the destination from the upper half of the address. The guest puts bits 14:8 into bits 11:5
/// of the lower half (`KVM_FEATURE_MSI_EXT_DEST_ID`).
fn to_kvm(message: MsiMessage, x2apic_ids: bool) -> kvm_msi {
    const EXT_DEST_ID: u64 = 0xfe0;
    let [low, high] = if x2apic_ids {
        let destination = (message.address & EXT_DEST_ID) << 3;
        [message.address & 0xffff_ffff & !EXT_DEST_ID, (message.address >> 32) | destination]
    } else {
        [message.address & 0xffff_ffff, message.address >> 32]
    };
    kvm_msi {
        address_lo: u32::try_from(low).unwrap_or_default(),
        address_hi: u32::try_from(high).unwrap_or_default(),
        data: message.data,
        ..Default::default()
    }
}

#[cfg(test)]
#[path = "msi_test.rs"]
mod tests;
