//! The CPUID leaves to read: everything that a CPU reports. Guests share this with the tests that read it elsewhere.

use core::arch::x86_64::__cpuid_count;

/// Functions whose answer depends on ECX.
pub(crate) const WITH_SUBLEAVES: [u32; 19] = [
    0x4,
    0x7,
    0xb,
    0xd,
    0xf,
    0x10,
    0x12,
    0x14,
    0x17,
    0x18,
    0x1d,
    0x1e,
    0x1f,
    0x20,
    0x23,
    0x24,
    0x8000_001d,
    0x8000_0020,
    0x8000_0026,
];
/// One subleaf for each bit of XCR0 and IA32_XSS.
const XSAVE: u32 = 0xd;
/// The most functions to read in a range: a CPU without the range may return an arbitrary greatest function.
const MOST: u32 = 0x40;

/// Calls `visit` with the function and the index of each leaf.
pub(crate) fn each(mut visit: impl FnMut(u32, u32)) {
    for base in [0, 0x4000_0000, 0x8000_0000] {
        let last = __cpuid_count(base, 0).eax;
        for function in base..=last.clamp(base, base + MOST) {
            let subleaves = match function {
                XSAVE => 64,
                function if WITH_SUBLEAVES.contains(&function) => 8,
                _ => 1,
            };
            (0..subleaves).for_each(|index| visit(function, index));
        }
    }
}
