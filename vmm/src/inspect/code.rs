//! The current instruction of a vCPU.

use arch::{layout, memory::GuestRam};
use devices::chipset::Rom;
use kvm_bindings::{kvm_regs, kvm_sregs};
use vm_memory::{Bytes, GuestAddress};

use super::address_space::AddressSpace;

/// The length of the longest instruction.
const LONGEST: usize = 15;

/// EFER.LMA: the vCPU is in IA-32e mode.
const EFER_LMA: u64 = 1 << 10;

/// The linear address of the next instruction. In 64-bit mode the base of CS is ignored; in other modes the sum has 32 bits.
pub(crate) fn instruction_address(regs: &kvm_regs, sregs: &kvm_sregs) -> u64 {
    if sregs.efer & EFER_LMA != 0 && sregs.cs.l != 0 {
        regs.rip
    } else {
        sregs.cs.base.wrapping_add(regs.rip) & u64::from(u32::MAX)
    }
}

/// Up to 15 bytes, the length of the longest instruction, at a linear address in memory or in firmware's `rom`; fewer at the end of a page,
/// none if nothing is mapped there.
pub(crate) fn code_at(
    linear: u64,
    space: &AddressSpace<'_>,
    memory: &GuestRam,
    rom: Option<&Rom>,
) -> Vec<u8> {
    let Ok(Some(physical)) = space.translate(linear) else { return Vec::new() };
    let mut code = vec![0; usize::try_from(physical.len).map_or(LONGEST, |len| len.min(LONGEST))];
    let len = read(physical.address, &mut code, memory, rom);
    code.truncate(len);
    code
}

/// Reads bytes at a physical address, and returns their number.
fn read(address: u64, code: &mut [u8], memory: &GuestRam, rom: Option<&Rom>) -> usize {
    if let Ok(read) = memory.read(code, GuestAddress(address)) {
        return read;
    }
    let offset = rom.and_then(|rom| address.checked_sub(layout::FIRMWARE_END - rom.size()));
    match (rom, offset.map(usize::try_from)) {
        (Some(rom), Some(Ok(offset))) => rom.as_volatile_slice().read(code, offset).unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
#[path = "code_test.rs"]
mod tests;
