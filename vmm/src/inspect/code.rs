//! The instruction that a vCPU is at.

use arch::memory::GuestRam;
use kvm_bindings::{kvm_regs, kvm_sregs};
use vm_memory::{Bytes, GuestAddress};

use super::address_space::AddressSpace;

/// EFER.LMA: the vCPU is in IA-32e mode.
const EFER_LMA: u64 = 1 << 10;

/// The linear address of the next instruction. In 64-bit mode the base of CS counts for nothing, and in others the sum has 32 bits.
pub(crate) fn instruction_address(regs: &kvm_regs, sregs: &kvm_sregs) -> u64 {
    if sregs.efer & EFER_LMA != 0 && sregs.cs.l != 0 {
        regs.rip
    } else {
        sregs.cs.base.wrapping_add(regs.rip) & u64::from(u32::MAX)
    }
}

/// Up to 15 bytes, the longest instruction, at a linear address; fewer at the end of a page, none where nothing is mapped.
pub(crate) fn code_at(linear: u64, space: &AddressSpace<'_>, memory: &GuestRam) -> Vec<u8> {
    let Ok(Some(physical)) = space.translate(linear) else { return Vec::new() };
    let mut code = [0; 15];
    let in_page = usize::try_from(physical.len).map_or(code.len(), |len| len.min(code.len()));
    let read = memory.read(&mut code[..in_page], GuestAddress(physical.address));
    code[..read.unwrap_or_default()].to_vec()
}

#[cfg(test)]
#[path = "code_test.rs"]
mod tests;
