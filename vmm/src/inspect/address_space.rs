//! The linear addresses of a stopped vCPU.

use arch::{
    memory::GuestRam,
    paging::{Paging, Physical},
};
use kvm_bindings::kvm_sregs;
use kvm_ioctls::VcpuFd;

use super::nested::Nested;
use crate::{
    ioctls,
    vm::{KvmError, kvm},
};

/// The smallest page.
const PAGE: u64 = 4 << 10;

/// Translates a vCPU's linear addresses to the guest's physical ones, and finds all that are mapped.
///
/// nvmm walks the page tables itself. KVM_TRANSLATE does it like a read by the kernel: while CR4.SMAP is set and EFLAGS.AC is not, it finds
/// no page of a process, even if the vCPU is in user mode.
///
/// While the vCPU runs a nested guest, KVM is asked nevertheless: then CR3 and the tables are that guest's, usually in its own physical
/// addresses, which EPT or NPT translate once more. Only KVM has their root. In this case SMAP, if the nested guest uses it, does hide its
/// processes.
pub(crate) enum AddressSpace<'a> {
    /// By tables in the guest's memory.
    Tables {
        /// The mode of paging.
        paging: Paging,
        /// The memory.
        memory: &'a GuestRam,
    },
    /// By KVM.
    Kvm(&'a VcpuFd),
}

impl<'a> AddressSpace<'a> {
    /// Reads the registers that decide on it.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn read(fd: &'a VcpuFd, memory: &'a GuestRam) -> Result<Self, KvmError> {
        let sregs = fd.get_sregs().map_err(kvm("KVM_GET_SREGS"))?;
        let in_nested_guest = Nested::read(fd).is_some_and(|nested| nested.is_in_guest());
        Ok(Self::new(fd, memory, paging(fd, &sregs), in_nested_guest))
    }

    /// The address space of a vCPU with this paging.
    pub(super) fn new(fd: &'a VcpuFd, memory: &'a GuestRam, paging: Paging, in_nested_guest: bool) -> Self {
        if in_nested_guest { Self::Kvm(fd) } else { Self::Tables { paging, memory } }
    }

    /// The physical addresses from that of `linear` on, at most to the end of its page; none if no page is mapped there.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn translate(&self, linear: u64) -> Result<Option<Physical>, KvmError> {
        match self {
            Self::Tables { paging, memory } => Ok(paging.translate(linear, memory)),
            Self::Kvm(fd) => {
                let answer = fd.translate_gva(linear).map_err(kvm("KVM_TRANSLATE"))?;
                let physical = Physical { address: answer.physical_address, len: PAGE - linear % PAGE };
                Ok((answer.valid != 0).then_some(physical))
            }
        }
    }
}

/// The paging of a vCPU, with the PDPTE registers if it has them and KVM returns them (since Linux 5.14).
pub(super) fn paging(fd: &VcpuFd, sregs: &kvm_sregs) -> Paging {
    let paging = Paging::of(sregs);
    let pdptes = paging.is_pae().then(|| ioctls::pdptes(fd).ok().flatten()).flatten();
    pdptes.map_or(paging, |pdptes| paging.with_pdptes(pdptes))
}

#[cfg(test)]
#[path = "address_space_test.rs"]
mod tests;
