//! The memory slots of a VM beside RAM's.
#![expect(unsafe_code, reason = "gives KVM memory to map")]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use devices::{chipset::Rom, pci::BarMemory};
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::VolatileSlice;

use crate::buses::MemorySlots;

/// The slots of PCI BARs and of a flash chip, numbered above those of RAM. They own the memory that KVM maps; whoever runs a vCPU holds them, by the
/// [buses](crate::buses::Buses).
#[derive(Debug)]
pub(super) struct KvmSlots {
    vm: Arc<VmFd>,
    first: u32,
    mapped: Mutex<BTreeMap<u32, Arc<dyn Owner>>>,
}

/// The owner of memory that KVM maps: it keeps it.
trait Owner: Send + Sync + Debug {}

impl Owner for BarMemory {}
impl Owner for Rom {}

impl KvmSlots {
    /// No slots of `vm` yet; their numbers begin with `first`.
    pub(super) fn new(vm: Arc<VmFd>, first: u32) -> Self {
        Self { vm, first, mapped: Mutex::default() }
    }

    /// Maps `pages` of `owner` at `address`.
    fn map(
        &self,
        address: u64,
        pages: &VolatileSlice<'_>,
        flags: u32,
        owner: Arc<dyn Owner>,
    ) -> io::Result<u32> {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (self.first..=u32::MAX)
            .find(|slot| !mapped.contains_key(slot))
            .ok_or(io::ErrorKind::StorageFull)?;
        let region = kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: address,
            memory_size: pages.len() as u64,
            userspace_addr: pages.ptr_guard_mut().as_ptr().expose_provenance() as u64,
        };
        // SAFETY: the pages are the owner's, which stays mapped while `mapped` has it: until KVM has deleted the slot, or until no vCPU
        // can run any more.
        unsafe { self.vm.set_user_memory_region(region) }?;
        mapped.insert(slot, owner);
        Ok(slot)
    }
}

/// `KVM_SET_USER_MEMORY_REGION`. vCPUs may run meanwhile: KVM waits until none of them uses the slots of before.
impl MemorySlots for KvmSlots {
    fn create(&self, address: u64, memory: &Arc<BarMemory>, range: &Range<u64>) -> io::Result<u32> {
        let offset = |offset| usize::try_from(offset).map_err(io::Error::other);
        let (start, end) = (offset(range.start)?, offset(range.end)?);
        let len = end.checked_sub(start).ok_or(io::ErrorKind::InvalidInput)?;
        let pages = memory.as_volatile_slice().subslice(start, len).map_err(io::Error::other)?;
        self.map(address, &pages, 0, Arc::clone(memory) as Arc<dyn Owner>)
    }

    fn create_read_only(&self, address: u64, chip: &Arc<Rom>) -> io::Result<u32> {
        self.map(address, &chip.as_volatile_slice(), KVM_MEM_READONLY, Arc::clone(chip) as Arc<dyn Owner>)
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
