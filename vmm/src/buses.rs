//! What the vCPU threads reach devices through.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use devices::{
    bus::{Bus, Remap},
    pci::PciRoot,
};
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use vmm_sys_util::eventfd::EventFd;

use crate::vm::{KvmError, kvm};

/// The address spaces of a running machine, shared by its vCPUs.
#[derive(Debug)]
pub(crate) struct Buses {
    /// I/O ports.
    pub(crate) pio: Bus,
    /// Memory-mapped registers.
    pub(crate) mmio: Bus,
    /// The PCI functions, whose BARs are in the latter.
    pub(crate) pci: Arc<PciRoot>,
    /// Doorbells in them that never leave the kernel.
    pub(crate) doorbells: Doorbells,
    /// Set when the vCPUs shall stop.
    pub(crate) stop: AtomicBool,
}

impl Buses {
    /// The buses of a machine whose vCPUs may run.
    pub(crate) fn new(pio: Bus, mmio: Bus, pci: Arc<PciRoot>, doorbells: Doorbells) -> Self {
        Self { pio, mmio, pci, doorbells, stop: AtomicBool::new(false) }
    }

    /// Moves a BAR, what is mapped there and its doorbells, one BAR at a time. A guest that moves it onto another device keeps it where it was.
    pub(crate) fn remap(&self, remap: Remap) {
        let mut bars = self.doorbells.bars.lock().unwrap_or_else(PoisonError::into_inner);
        match self.mmio.remap(remap) {
            Ok(()) => {
                self.doorbells.remap(&mut bars, remap);
                self.pci.moved(remap);
            }
            Err(error) => log::debug!("the guest can't move a BAR: {error}"),
        }
    }
}

/// An offset in a BAR, and what a write there signals.
type Doorbell = (u64, EventFd);

/// The doorbells of each BAR, by where it is.
type Bars = BTreeMap<u64, Vec<Doorbell>>;

/// virtio queue notifications as ioeventfds: `KVM_IOEVENTFD` without length or data match, which KVM can serve from its fast MMIO bus
/// without decoding the instruction.
#[derive(Debug)]
pub(crate) struct Doorbells {
    vm: Arc<VmFd>,
    bars: Mutex<Bars>,
}

impl Doorbells {
    pub(crate) fn new(vm: Arc<VmFd>) -> Self {
        Self { vm, bars: Mutex::default() }
    }

    /// Registers the doorbells of the BAR at `base`, each with its offset.
    pub(crate) fn insert(&self, base: u64, doorbells: Vec<Doorbell>) -> Result<(), KvmError> {
        self.register(base, &doorbells)?;
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).insert(base, doorbells);
        Ok(())
    }

    /// A doorbell that KVM can't move still works: the write exits, and the device rings it itself.
    fn remap(&self, bars: &mut Bars, Remap { from, to }: Remap) {
        let Some(doorbells) = bars.remove(&from) else { return };
        for (offset, event) in &doorbells {
            let address = IoEventAddress::Mmio(from + offset);
            if let Err(error) = self.vm.unregister_ioevent(event, &address, NoDatamatch) {
                log::warn!("KVM_IOEVENTFD at {:#x}: {error}", from + offset);
            }
        }
        if let Err(error) = self.register(to, &doorbells) {
            log::warn!("{error}: {}", error.source);
        }
        bars.insert(to, doorbells);
    }

    fn register(&self, base: u64, doorbells: &[Doorbell]) -> Result<(), KvmError> {
        for (offset, event) in doorbells {
            let address = IoEventAddress::Mmio(base + offset);
            self.vm.register_ioevent(event, &address, NoDatamatch).map_err(kvm("KVM_IOEVENTFD"))?;
        }
        Ok(())
    }
}
