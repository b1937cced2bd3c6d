//! SVM's VMCB of a running nested guest, in guest memory: it holds state that KVM doesn't return.

use arch::memory::GuestRam;
use kvm_bindings::{KVM_STATE_NESTED_FORMAT_SVM, KVM_STATE_NESTED_GUEST_MODE};
use vm_memory::{Bytes, GuestAddress};

/// The offset of DR7. APM 2, "VMCB Layout, State Save Area".
const DR7: u64 = 0x400 + 0x160;
/// The bits that DR7 can have.
const DR7_BITS: u64 = 0xffff_ffff;

/// The DR7 of a running nested guest, by its nested state from KVM; none if there is no such guest.
///
/// KVM reads and sets the DR7 of its own guest, which has no breakpoints after #VMEXIT. The nested guest's DR7 is only in KVM's copy of the
/// VMCB, and in the VMCB that was given to VMRUN. Linux, arch/x86/kvm/svm/nested.c, `nested_vmcb02_prepare_save`.
pub(super) fn dr7(nested: &[u8], memory: &GuestRam) -> Option<u64> {
    let (flags, rest) = nested.split_first_chunk().map(|(flags, rest)| (u16::from_le_bytes(*flags), rest))?;
    let format = u16::from_le_bytes(*rest.first_chunk()?);
    let runs = u32::from(flags) & KVM_STATE_NESTED_GUEST_MODE != 0;
    if u32::from(format) != KVM_STATE_NESTED_FORMAT_SVM || !runs {
        return None;
    }
    let address = u64::from_le_bytes(*nested.get(8..)?.first_chunk()?);
    let dr7: u64 = memory.read_obj(GuestAddress(address.checked_add(DR7)?)).ok()?;
    Some(dr7 & DR7_BITS)
}

#[cfg(test)]
#[path = "vmcb_test.rs"]
mod tests;
