//! Prints CPUID as it finds it.
#![no_std]
#![no_main]

mod rt;

use core::arch::x86_64::__cpuid_count;

/// Leaves whose subleaves are counted by ECX.
const WITH_SUBLEAVES: [u32; 7] = [4, 7, 0xb, 0xd, 0x1f, 0x8000_001d, 0x8000_0026];

extern "C" fn guest_main() -> u32 {
    for base in [0, 0x4000_0000, 0x8000_0000] {
        let last = __cpuid_count(base, 0).eax;
        for function in base..=last.clamp(base, base + 0x40) {
            let subleaves = if WITH_SUBLEAVES.contains(&function) { 4 } else { 1 };
            for index in 0..subleaves {
                let leaf = __cpuid_count(function, index);
                print!(function, " ", index, " ", leaf.eax, " ", leaf.ebx, " ", leaf.ecx, " ", leaf.edx, "\n");
            }
        }
    }
    0
}
