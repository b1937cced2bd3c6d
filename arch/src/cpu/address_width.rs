//! Widths of addresses, in bits: SDM 3A, "Enumeration of Paging Features by CPUID".

use super::cpuid::{Cpuid, Leaf};

/// The leaf that gives the widths.
pub const WIDTHS: Leaf = Leaf::new(0x8000_0008);

/// The width of a 32-bit CPU without PAE; with PAE it is 36.
pub const MIN_PHYSICAL_BITS: u32 = 32;
/// The most bits of an address that page tables have room for.
pub const MAX_PHYSICAL_BITS: u32 = 52;

/// MAXPHYADDR, at most [`MAX_PHYSICAL_BITS`].
pub(super) fn physical(cpuid: &Cpuid) -> u32 {
    let has_pae = cpuid.get(Leaf::new(1)).edx >> 6 & 1 == 1;
    match cpuid.get(WIDTHS).eax & 0xff {
        0 if has_pae => 36,
        0 => MIN_PHYSICAL_BITS,
        width => width.min(MAX_PHYSICAL_BITS),
    }
}
