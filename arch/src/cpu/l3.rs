//! CPUID without the L3 cache: QEMU's `l3-cache=off`.

use super::{
    cpuid::{Cpuid, Leaf, Register, Registers},
    field::Field,
    patch::{self, Decision, Patch, Why},
};

const DESCRIPTORS: u32 = 0x2;
/// The functions with a subleaf for each cache.
const CACHES: [u32; 2] = [0x4, 0x8000_001d];
/// The place of the cache level in EAX of such a subleaf: bits 7:5.
const LEVEL: u32 = 5;
/// Size, ways and line of the L3 cache.
const L3: Field = Field::new(0x8000_0006, Register::Edx, 31, 0, "l3 cache");
/// "Null descriptor", which QEMU puts in the place of an L3 cache's descriptor.
const NULL: u8 = 0;

/// Removes the L3 cache from all leaves that describe caches.
pub(super) fn hide(cpuid: &mut Cpuid, decisions: &mut Vec<Decision>) {
    let mut patches = Vec::new();
    if cpuid.0.contains_key(&L3.leaf) {
        patches.push(Patch { field: L3, value: 0, why: WHY });
    }
    let leaf = Leaf::new(DESCRIPTORS);
    let registers = cpuid.get(leaf);
    for register in Register::ALL {
        let value = without_descriptors(register, registers.get(register));
        let field = Field::new(DESCRIPTORS, register, 31, 0, "cache descriptors");
        patches.push(Patch { field, value, why: WHY });
    }
    patches.retain(|patch| patch.field.get(cpuid) != patch.value);
    for function in CACHES {
        let others = cpuid.function(function).map(|(_, registers)| registers);
        let others: Vec<_> = others.filter(|registers| registers.eax >> LEVEL & 0b111 != 3).collect();
        let all = cpuid.function(function).count();
        if others.len() == all {
            continue;
        }
        // The other subleaves move up, and blank ones end the list.
        let ends = std::iter::repeat(Registers::default());
        for (index, registers) in (0..).zip(others.into_iter().chain(ends).take(all)) {
            let field = |register| Field {
                leaf: Leaf::sub(function, index),
                ..Field::new(0, register, 31, 0, "cache")
            };
            let patch = |register| Patch { field: field(register), value: registers.get(register), why: WHY };
            patches.extend(Register::ALL.map(patch));
        }
    }
    patch::apply(cpuid, &patches, decisions);
}

const WHY: Why = Why::Word("l3-cache=off");

/// Removes the L3's descriptors: SDM 2A, "Encoding of CPUID Leaf 2 Descriptors". A register whose highest bit is set has none, and the
/// lowest byte of EAX is a count.
fn without_descriptors(register: Register, value: u32) -> u32 {
    if value >> 31 == 1 {
        return value;
    }
    let first = usize::from(register == Register::Eax);
    let mut bytes = value.to_le_bytes();
    for byte in &mut bytes[first..] {
        let l3 = matches!(
            byte,
            0x22 | 0x23 | 0x25 | 0x29 | 0x46 | 0x47 | 0x4a..=0x4d | 0xd0..=0xd2 | 0xd6..=0xd8 | 0xdc..=0xde | 0xe2..=0xe4 | 0xea..=0xec
        );
        if l3 {
            *byte = NULL;
        }
    }
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
#[path = "l3_test.rs"]
mod tests;
