//! The instruction that a vCPU is at.

use arch::memory::GuestRam;
use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes, GuestAddress};

/// Up to 15 bytes, the longest instruction, at a linear address; fewer at the end of a page, none where nothing is mapped.
pub(crate) fn code_at(linear: u64, fd: &VcpuFd, memory: &GuestRam) -> Vec<u8> {
    let Some(translation) = fd.translate_gva(linear).ok().filter(|translation| translation.valid != 0) else {
        return Vec::new();
    };
    let mut code = [0; 15];
    let in_page = code.len().min(usize::try_from(0x1000 - linear % 0x1000).unwrap_or_default());
    let read = memory.read(&mut code[..in_page], GuestAddress(translation.physical_address));
    code[..read.unwrap_or_default()].to_vec()
}
