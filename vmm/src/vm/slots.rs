//! The memory slots of a VM beside RAM's.
#![expect(unsafe_code, reason = "gives KVM memory to map")]

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use devices::pci::BarMemory;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;

use crate::buses::MemorySlots;

/// The slots of PCI BARs, numbered above those of RAM. They own the memory that KVM maps; whoever runs a vCPU holds them, by the
/// [buses](crate::buses::Buses).
#[derive(Debug)]
pub(super) struct KvmSlots {
    vm: Arc<VmFd>,
    first: u32,
    mapped: Mutex<BTreeMap<u32, Arc<BarMemory>>>,
}

impl KvmSlots {
    /// No slots of `vm` yet; their numbers begin with `first`.
    pub(super) fn new(vm: Arc<VmFd>, first: u32) -> Self {
        Self { vm, first, mapped: Mutex::default() }
    }
}

/// `KVM_SET_USER_MEMORY_REGION`. vCPUs may run meanwhile: KVM waits until none of them uses the slots of before.
impl MemorySlots for KvmSlots {
    fn create(&self, address: u64, memory: &Arc<BarMemory>, range: &Range<u64>) -> io::Result<u32> {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (self.first..=u32::MAX)
            .find(|slot| !mapped.contains_key(slot))
            .ok_or(io::ErrorKind::StorageFull)?;
        let offset = |offset| usize::try_from(offset).map_err(io::Error::other);
        let (start, end) = (offset(range.start)?, offset(range.end)?);
        let len = end.checked_sub(start).ok_or(io::ErrorKind::InvalidInput)?;
        let pages = memory.as_volatile_slice().subslice(start, len).map_err(io::Error::other)?;
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: address,
            memory_size: len as u64,
            userspace_addr: pages.ptr_guard_mut().as_ptr().expose_provenance() as u64,
        };
        // SAFETY: the pages are the memory's, which stays mapped while `mapped` has it: until KVM has deleted the slot, or until no vCPU
        // can run any more.
        unsafe { self.vm.set_user_memory_region(region) }?;
        mapped.insert(slot, Arc::clone(memory));
        Ok(slot)
    }

    fn delete(&self, slot: u32) -> io::Result<()> {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if !mapped.contains_key(&slot) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let region = kvm_userspace_memory_region { slot, ..Default::default() };
        // SAFETY: a region of no bytes maps nothing, and RAM's slots are not in `mapped`.
        unsafe { self.vm.set_user_memory_region(region) }?;
        mapped.remove(&slot);
        Ok(())
    }
}
