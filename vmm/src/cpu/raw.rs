//! A CPU as plain numbers, for other programs: CPUID in the form of `cpuid -r`, then MSRs.

use super::source::Seen;

/// Writes a line for each leaf, `0x00000007 0x00: eax=0x... ebx=0x... ecx=0x... edx=0x...`, and for each MSR, `MSR 0x480: 0x...`.
pub(super) fn text(Seen { cpuid, msrs }: &Seen) -> String {
    let leaves = cpuid.0.iter().map(|(leaf, registers)| {
        format!("{:#010x} {:#04x}: {registers}\n", leaf.function, leaf.index.unwrap_or(0))
    });
    leaves.chain(msrs.iter().map(|(index, value)| format!("MSR {index:#x}: {value:#018x}\n"))).collect()
}
