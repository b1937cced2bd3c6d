//! State in all components that XSAVE saves.

use core::arch::{asm, x86_64::__cpuid_count};

use crate::rt;

/// A page for XSAVE's output.
const AREA: u64 = 0x52_0000;
const OSXSAVE: u64 = 1 << 18;
const PKE: u64 = 1 << 22;
const AVX: u64 = 1 << 2;
const PKRU: u64 = 1 << 9;
/// The components that get state here: x87, SSE, AVX, and the protection keys.
const COMPONENTS: u64 = 3 | AVX | PKRU;

/// The offsets of the x87's control, status and tag words, SSE's control, the registers of both, and AVX's part of the registers. Pointers
/// to the last instruction and its operand are left out: AMD's processors don't keep them.
const CONTROL: (u64, u64) = (0, 6);
const MXCSR: (u64, u64) = (24, 8);
const REGISTERS: (u64, u64) = (32, 384);
const YMM: (u64, u64) = (576, 256);

/// Enables and fills all of it.
pub fn set() {
    if __cpuid_count(1, 0).ecx & 1 << 26 == 0 {
        return;
    }
    // The keys don't need PKE: none of this memory is accessible to user mode.
    let keys = if __cpuid_count(7, 0).ecx & 1 << 3 == 0 { 0 } else { PKE };
    unsafe { asm!("mov {0}, cr4", "or {0}, {1}", "mov cr4, {0}", out(reg) _, in(reg) OSXSAVE | keys) };
    let enabled = u64::from(__cpuid_count(0xd, 0).eax) & COMPONENTS;
    unsafe { asm!("xsetbv", in("ecx") 0, in("eax") enabled as u32, in("edx") 0) };
    let (control, mxcsr) = (0x0f7f_u16, 0x9fc0_u32);
    unsafe {
        asm!("fninit", "fldcw [{0}]", "fldpi", "fldl2e", "fld1", "ldmxcsr [{1}]", in(reg) &control, in(reg) &mxcsr);
        if enabled & AVX != 0 {
            // Their lower halves too, except for the one that the guest has filled itself.
            asm!("vbroadcastf128 ymm0, [{0}]", "vbroadcastf128 ymm7, [{0} + 8]", "vinsertf128 ymm15, ymm15, [{0}], 1", in(reg) &FILLED);
        }
        if enabled & PKRU != 0 {
            asm!("wrpkru", in("ecx") 0, in("eax") 0x5555_5550_u32, in("edx") 0);
        }
    }
}

static FILLED: [u64; 3] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978];

/// XCR0, a sum of XSAVE's area, and PKRU; all 0 without [`set`].
pub fn see() -> [u64; 3] {
    let cr4: u64;
    unsafe { asm!("mov {}, cr4", out(reg) cr4) };
    if cr4 & OSXSAVE == 0 {
        return [0; 3];
    }
    let xcr0: u32;
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") xcr0, out("edx") _) };
    for place in 0..0x200 {
        rt::write(AREA + 8 * place, 0_u64);
    }
    unsafe { asm!("xsave64 [{}]", in(reg) AREA, in("eax") COMPONENTS as u32, in("edx") 0) };
    let mut sum = 0_u64;
    for (start, len) in [CONTROL, MXCSR, REGISTERS, YMM] {
        for offset in start..start + len {
            sum = sum.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(rt::read::<u8>(AREA + offset));
        }
    }
    let pkru = if u64::from(xcr0) & PKRU == 0 { 0 } else { rt::read::<u32>(AREA + u64::from(__cpuid_count(0xd, 9).ebx)) };
    [xcr0.into(), sum, pkru.into()]
}
