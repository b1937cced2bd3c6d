//! The memory slots of a VM other than those of RAM.
#![expect(unsafe_code, reason = "gives KVM memory to map")]

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    ptr,
    sync::{Arc, Mutex, PoisonError},
};

use arch::layout::PAGE;
use devices::{
    chipset::Rom,
    pci::{BarMemory, DirtyLog, DirtyPages},
};
use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::VolatileSlice;

use crate::{buses::MemorySlots, ioctls::again};

/// The slots of PCI BARs and of a flash chip, numbered above those of RAM. They own the memory that KVM maps. Threads that run a vCPU hold
/// them, by the [buses](crate::buses::Buses).
#[derive(Debug)]
pub(super) struct KvmSlots {
    vm: Arc<VmFd>,
    first: u32,
    mapped: Mutex<BTreeMap<u32, Mapped>>,
}

/// A slot in use.
#[derive(Debug)]
struct Mapped {
    owner: Owner,
    /// The mapped part of the owner's memory.
    range: Range<usize>,
}

/// The owner of memory that KVM maps, which keeps the memory alive.
#[derive(Clone, Debug)]
enum Owner {
    Bar(Arc<BarMemory>),
    Rom(Arc<Rom>),
}

impl Owner {
    fn pages(&self) -> VolatileSlice<'_> {
        match self {
            Self::Bar(memory) => memory.as_volatile_slice(),
            Self::Rom(chip) => chip.as_volatile_slice(),
        }
    }

    /// The log of written pages, if there is one.
    fn dirty(&self) -> Option<&DirtyPages> {
        match self {
            Self::Bar(memory) => memory.dirty(),
            Self::Rom(_) => None,
        }
    }

    fn flags(&self) -> u32 {
        match self {
            Self::Bar(memory) if memory.dirty().is_some() => KVM_MEM_LOG_DIRTY_PAGES,
            Self::Bar(_) => 0,
            Self::Rom(_) => KVM_MEM_READONLY,
        }
    }
}

impl Mapped {
    /// Records that the guest may have written any of its pages.
    fn mark(&self) {
        if let Some(dirty) = self.owner.dirty() {
            dirty.add(self.range.start as u64..self.range.end as u64);
        }
    }
}

impl KvmSlots {
    /// No slots of `vm` yet; their numbers start at `first`.
    pub(super) fn new(vm: Arc<VmFd>, first: u32) -> Self {
        Self { vm, first, mapped: Mutex::default() }
    }

    /// Maps `range` of `owner` at `address`.
    fn map(&self, address: u64, owner: Owner, range: Range<usize>) -> io::Result<u32> {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (self.first..=u32::MAX)
            .find(|slot| !mapped.contains_key(slot))
            .ok_or(io::ErrorKind::StorageFull)?;
        let pages = owner.pages().subslice(range.start, range.len()).map_err(io::Error::other)?;
        let region = kvm_userspace_memory_region {
            slot,
            flags: owner.flags(),
            guest_phys_addr: address,
            memory_size: pages.len() as u64,
            userspace_addr: pages.ptr_guard_mut().as_ptr().expose_provenance() as u64,
        };
        // SAFETY: the pages belong to the owner, and stay mapped while `mapped` holds it: until KVM has deleted the slot, or until no
        // vCPU can run any more.
        again(|| unsafe { self.vm.set_user_memory_region(region) })?;
        mapped.insert(slot, Mapped { owner, range });
        Ok(slot)
    }
}

/// `KVM_SET_USER_MEMORY_REGION`. vCPUs may run meanwhile: KVM waits until none of them uses the old slots.
impl MemorySlots for KvmSlots {
    fn create(&self, address: u64, memory: &Arc<BarMemory>, range: &Range<u64>) -> io::Result<u32> {
        let offset = |offset| usize::try_from(offset).map_err(io::Error::other);
        let (start, end) = (offset(range.start)?, offset(range.end)?);
        if end < start {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.map(address, Owner::Bar(Arc::clone(memory)), start..end)
    }

    fn create_read_only(&self, address: u64, chip: &Arc<Rom>) -> io::Result<u32> {
        self.map(address, Owner::Rom(Arc::clone(chip)), 0..chip.as_volatile_slice().len())
    }

    fn delete(&self, slot: u32) -> io::Result<()> {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if !mapped.contains_key(&slot) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let region = kvm_userspace_memory_region { slot, ..Default::default() };
        // SAFETY: a region of no bytes maps nothing, and RAM's slots are not in `mapped`.
        again(|| unsafe { self.vm.set_user_memory_region(region) })?;
        // KVM's log of the slot is gone.
        mapped.remove(&slot).iter().for_each(Mapped::mark);
        Ok(())
    }
}

/// `KVM_GET_DIRTY_LOG`, which also clears the log.
impl DirtyLog for KvmSlots {
    fn collect(&self, memory: &BarMemory) {
        let mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        for (&slot, it) in mapped.iter() {
            let (Owner::Bar(owner), Some(dirty)) = (&it.owner, memory.dirty()) else { continue };
            if !ptr::eq(Arc::as_ptr(owner), memory) {
                continue;
            }
            match again(|| self.vm.get_dirty_log(slot, it.range.len())) {
                Ok(bits) => dirty.add_bits(it.range.start as u64 / PAGE, &bits),
                Err(error) => {
                    log::debug!("KVM_GET_DIRTY_LOG: {error}");
                    it.mark();
                }
            }
        }
    }
}
