//! The virtual machine in KVM: memory slots, interrupt controllers, and the handles to send interrupts to them.
#![expect(unsafe_code, reason = "gives KVM guest memory to map")]

mod msi;
mod slots;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arch::{cpu::apic_id::FIRST_X2APIC_ID, layout, memory::GuestRam};
use devices::{
    chipset::Rom,
    irq::{Line, Msi, SharedLine},
    pci::DirtyLog,
};
use kvm_bindings::{
    KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_PMU_CAPABILITY, KVM_CAP_X2APIC_API, KVM_CAP_X86_TRIPLE_FAULT_EVENT,
    KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, KVM_PIT_SPEAKER_DUMMY, KVM_PMU_CAP_DISABLE,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS, kvm_enable_cap, kvm_pit_config,
    kvm_userspace_memory_region,
};
use kvm_ioctls::VmFd;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use self::{
    msi::{KvmMsi, Routes},
    slots::KvmSlots,
};
use crate::{
    buses::MemorySlots,
    host::Host,
    ioctls::{self, again},
};

/// An ioctl that KVM refused.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct KvmError {
    /// The ioctl, and its purpose.
    pub(crate) what: &'static str,
    /// KVM's answer.
    pub(crate) source: kvm_ioctls::Error,
}

/// Names the ioctl that failed.
pub(crate) fn kvm(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> KvmError {
    move |source| KvmError { what, source }
}

/// Makes a request to KVM, [again] if a signal interrupts it, and names the ioctl if it fails.
pub(crate) fn ask<T>(
    what: &'static str,
    ioctl: impl FnMut() -> Result<T, kvm_ioctls::Error>,
) -> Result<T, KvmError> {
    again(ioctl).map_err(kvm(what))
}

/// A KVM virtual machine without vCPUs.
#[derive(Debug)]
pub(crate) struct Vm {
    /// The file descriptor, which interrupts also hold.
    pub(crate) fd: Arc<VmFd>,
    /// Each vCPU gets a view of it: KVM accesses guest memory only while a vCPU runs.
    pub(crate) memory: GuestRam,
    /// The firmware's ROM chip, which ends at 4 GiB. Each vCPU also holds it.
    pub(crate) rom: Option<Arc<Rom>>,
    /// The routes of message-signalled interrupts that the kernel sends.
    routes: Arc<Routes>,
    /// The slots other than those of RAM and the ROM chip.
    slots: Arc<KvmSlots>,
    /// The lines that devices drive, by their GSI.
    lines: Mutex<BTreeMap<u32, Arc<SharedLine>>>,
    /// The vCPUs get the host's current TSC rate when they are created.
    pub(crate) has_tsc_rate: bool,
}

impl Vm {
    /// Creates a VM with its memory and its in-kernel interrupt controllers.
    ///
    /// The order, with the reasons:
    /// 1. the rate of the TSC, which vCPUs inherit when they are created;
    /// 2. KVM's own pages, while there is no vCPU (VMX hosts refuse them later);
    /// 3. memory, before the controllers and the PIT: KVM waits for an SRCU grace period when it changes the slots, and one that follows
    ///    theirs takes 4 to 11 ms instead of microseconds;
    /// 4. 32-bit APIC IDs, before there is an APIC that would get an 8-bit ID;
    /// 5. PIC, IOAPIC and the request for local APICs, before vCPUs, which get theirs when they are created;
    /// 6. the PIT, whose interrupt goes to the controllers of step 5.
    ///
    /// # Errors
    ///
    /// KVM refuses one of the steps.
    pub(crate) fn new(
        host: &Host,
        memory: &GuestRam,
        rom: Option<&Arc<Rom>>,
        max_apic_id: u32,
    ) -> Result<Self, KvmError> {
        let vm = ask("KVM_CREATE_VM", || host.kvm.create_vm())?;
        let has_tsc_rate = set_tsc_rate(&vm);
        ask("KVM_SET_IDENTITY_MAP_ADDR", || vm.set_identity_map_address(layout::KVM_IDENTITY_MAP))?;
        let tss = usize::try_from(layout::KVM_TSS).unwrap_or_default();
        ask("KVM_SET_TSS_ADDR", || vm.set_tss_address(tss))?;
        set_ram(&vm, memory, 0)?;
        if let Some(rom) = rom {
            let pages = rom.as_volatile_slice();
            let slot = kvm_userspace_memory_region {
                slot: slots(memory),
                flags: KVM_MEM_READONLY,
                guest_phys_addr: layout::FIRMWARE_END - rom.size(),
                memory_size: rom.size(),
                userspace_addr: pages.ptr_guard().as_ptr().expose_provenance() as u64,
            };
            // SAFETY: no vCPU runs without the chip: each `Vcpu` holds it.
            let set = || unsafe { vm.set_user_memory_region(slot) };
            ask("KVM_SET_USER_MEMORY_REGION of firmware's read-only memory", set)?;
        }
        let x2apic_ids = max_apic_id >= FIRST_X2APIC_ID;
        if x2apic_ids {
            let mut cap = kvm_enable_cap { cap: KVM_CAP_X2APIC_API, ..Default::default() };
            cap.args[0] = u64::from(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
            ask("KVM_ENABLE_CAP of KVM_CAP_X2APIC_API (more than 254 vCPUs)", || vm.enable_cap(&cap))?;
        }
        ask("KVM_CREATE_IRQCHIP", || vm.create_irq_chip())?;
        tell_events_whole(&vm);
        let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
        ask("KVM_CREATE_PIT2", || vm.create_pit2(pit))?;
        let fd = Arc::new(vm);
        let first_slot = slots(memory).saturating_add(rom.iter().map(|_| 1).sum());
        Ok(Self {
            routes: Arc::new(Routes::new(Arc::clone(&fd), x2apic_ids)),
            slots: Arc::new(KvmSlots::new(Arc::clone(&fd), first_slot)),
            fd,
            memory: memory.clone(),
            rom: rom.cloned(),
            lines: Mutex::default(),
            has_tsc_rate,
        })
    }

    /// Disables performance counters, before there is a vCPU. A KVM before Linux 5.18 can't: on Intel's processors a guest whose leaf 0AH
    /// is empty still has none, but on AMD's it can use four that no leaf reports.
    ///
    /// # Errors
    ///
    /// KVM supports this, but refuses.
    pub(crate) fn disable_pmu(&self) -> Result<(), KvmError> {
        let can = self.fd.check_extension_raw(KVM_CAP_PMU_CAPABILITY.into());
        if u32::try_from(can).unwrap_or_default() & KVM_PMU_CAP_DISABLE == 0 {
            log::info!("this KVM can't switch performance counters off; Linux 5.18's and later can");
            return Ok(());
        }
        let mut cap = kvm_enable_cap { cap: KVM_CAP_PMU_CAPABILITY, ..Default::default() };
        cap.args[0] = u64::from(KVM_PMU_CAP_DISABLE);
        ask("KVM_ENABLE_CAP of KVM_CAP_PMU_CAPABILITY (pmu=off)", || self.fd.enable_cap(&cap))
    }

    /// The memory slots for PCI BARs.
    #[must_use]
    pub(crate) fn slots(&self) -> Arc<dyn MemorySlots> {
        Arc::clone(&self.slots) as Arc<dyn MemorySlots>
    }

    /// The log of the pages that the guest writes in those slots.
    #[must_use]
    pub(crate) fn dirty_log(&self) -> Arc<dyn DirtyLog> {
        Arc::clone(&self.slots) as Arc<dyn DirtyLog>
    }

    /// A line to the input `gsi` of the PICs and the IOAPIC. The input is high while any such line is.
    #[must_use]
    pub(crate) fn line(&self, gsi: u32) -> Arc<dyn Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || SharedLine::new(Arc::new(KvmLine { vm: Arc::clone(&self.fd), gsi }));
        lines.entry(gsi).or_insert_with(new).input()
    }

    /// A new message-signalled interrupt.
    #[must_use]
    pub(crate) fn msi(&self) -> Arc<dyn Msi> {
        Arc::new(KvmMsi::new(Arc::clone(&self.routes)))
    }
}

/// Gives KVM the memory, each region in the slot with its index, or changes the slots' flags. vCPUs may run meanwhile.
fn set_ram(vm: &VmFd, memory: &GuestRam, flags: u32) -> Result<(), KvmError> {
    for (slot, region) in (0..).zip(memory.iter()) {
        let slot = kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.userspace_addr() as u64,
        };
        // SAFETY: no vCPU runs without the region: each `Vcpu` has a view of it.
        ask("KVM_SET_USER_MEMORY_REGION", || unsafe { vm.set_user_memory_region(slot) })?;
    }
    Ok(())
}

/// Turns on or off KVM's log of the pages of `memory`, a machine's RAM, that its guest writes.
///
/// # Errors
///
/// KVM refuses.
pub(crate) fn log_writes(vm: &VmFd, memory: &GuestRam, on: bool) -> Result<(), KvmError> {
    set_ram(vm, memory, if on { KVM_MEM_LOG_DIRTY_PAGES } else { 0 })
}

/// Takes and clears KVM's log: for each region of `memory` its first page, and a bit for each page.
///
/// # Errors
///
/// KVM refuses.
pub(crate) fn take_writes(vm: &VmFd, memory: &GuestRam) -> Result<Vec<(u64, Vec<u64>)>, KvmError> {
    let notes = (0..).zip(memory.iter()).map(|(slot, region)| {
        let len = usize::try_from(region.len()).unwrap_or(usize::MAX);
        let bits = ask("KVM_GET_DIRTY_LOG", || vm.get_dirty_log(slot, len))?;
        Ok((region.start_addr().raw_value() / layout::PAGE, bits))
    });
    notes.collect()
}

/// The number of slots of RAM, which come before the others.
fn slots(memory: &GuestRam) -> u32 {
    u32::try_from(memory.num_regions()).unwrap_or(u32::MAX)
}

/// Makes KVM use the host's current TSC rate. Returns `false` if the rate has to be set for each vCPU.
///
/// KVM without TSC scaling gives a vCPU the rate that the host's kernel had when its module was loaded. If the kernel refined that rate
/// later by more than 250 ppm, as after a bad early calibration, KVM considers it a rate that needs scaling, but creates the vCPU anyway,
/// with a scaling ratio of 0. It then reads the guest's TSC as 0: each TSC-deadline timer fires at about twice the guest's uptime, and the
/// guest stalls. The host's log has "user requested TSC rate below hardware speed".
///
/// The capability is not checked: `KVM_CAP_VM_TSC_CONTROL` is absent without scaling, although the ioctl exists. Other hosts don't need
/// this, so an error is ignored.
fn set_tsc_rate(vm: &VmFd) -> bool {
    let set = again(|| ioctls::set_tsc_khz(vm, 0));
    if let Err(error) = set {
        log::debug!("KVM_SET_TSC_KHZ of the VM: {error}");
    }
    set.is_ok()
}

/// Makes KVM return a vCPU's events without loss: a pending exception as such, with its address or its bits of DR6, so that a nested
/// guest's hypervisor may still intercept it; and a triple fault. Older KVMs don't support this.
fn tell_events_whole(vm: &VmFd) {
    for cap in [KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT] {
        let mut enable = kvm_enable_cap { cap, ..Default::default() };
        enable.args[0] = 1;
        if vm.check_extension_raw(cap.into()) > 0
            && let Err(error) = again(|| vm.enable_cap(&enable))
        {
            log::debug!("KVM_ENABLE_CAP of {cap}: {error}");
        }
    }
}

/// An input of the interrupt controllers, by `KVM_IRQ_LINE`.
#[derive(Debug)]
struct KvmLine {
    vm: Arc<VmFd>,
    gsi: u32,
}

impl Line for KvmLine {
    fn set(&self, high: bool) {
        if let Err(error) = again(|| self.vm.set_irq_line(self.gsi, high)) {
            log::error!("KVM_IRQ_LINE of GSI {}: {error}", self.gsi);
        }
    }
}

#[cfg(test)]
#[path = "vm_test.rs"]
mod tests;
