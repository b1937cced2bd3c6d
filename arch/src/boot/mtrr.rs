//! Memory types as a PC's firmware sets them up: SDM 3A, "Memory Type Range Registers (MTRRs)".

use bitfield_struct::bitfield;

use crate::{
    cpu::{
        address_width::{MAX_PHYSICAL_BITS, MIN_PHYSICAL_BITS},
        msr,
    },
    layout,
};

const UNCACHEABLE: u8 = 0;
const WRITE_BACK: u8 = 6;

/// Length of the hole from the end of low RAM to 4 GiB: BARs, ECAM, the interrupt controllers, and the place for flash.
const HOLE_LEN: u64 = layout::RAM_ABOVE_4G - layout::PCI_MMIO;
/// A variable range covers a power of two at a multiple of it.
const _: () = assert!(HOLE_LEN.is_power_of_two() && layout::PCI_MMIO.is_multiple_of(HOLE_LEN));
/// IA32_MTRR_FIX16K_A0000: A0000H to BFFFFH, VGA's window.
const FIX16K_A0000: u32 = 0x259;

/// IA32_MTRR_DEF_TYPE.
#[bitfield(u64)]
struct DefType {
    kind: u8,
    #[bits(2)]
    __: u8,
    fixed_enable: bool,
    enable: bool,
    #[bits(52)]
    __: u64,
}

/// Returns the MTRRs as SeaBIOS and OVMF leave them: memory is write-back, except for the hole below 4 GiB and VGA's window, which are
/// uncacheable. `width` is the processor's physical address width in bits.
///
/// The default type is write-back: so no memory size needs ranges of its own, and Linux has no reason to drop RAM that no range covers.
/// IA32_MTRR_DEF_TYPE, which switches MTRRs on, comes last. With MTRRs off, Linux gives up its PAT.
pub(super) fn msrs(width: u32) -> Vec<(u32, u64)> {
    const VALID: u64 = 1 << 11;
    let addresses = u64::MAX >> (64 - width.clamp(MIN_PHYSICAL_BITS, MAX_PHYSICAL_BITS));
    let fixed = msr::MTRR_FIX.into_iter().map(|index| {
        let kind = if index == FIX16K_A0000 { UNCACHEABLE } else { WRITE_BACK };
        (index, u64::from_le_bytes([kind; 8]))
    });
    let variable = [
        (msr::MTRR_PHYSBASE0, layout::PCI_MMIO | u64::from(UNCACHEABLE)),
        (msr::MTRR_PHYSMASK0, addresses & !(HOLE_LEN - 1) | VALID),
    ];
    let on = DefType::new().with_kind(WRITE_BACK).with_fixed_enable(true).with_enable(true);
    fixed.chain(variable).chain([(msr::MTRR_DEF_TYPE, on.into_bits())]).collect()
}
