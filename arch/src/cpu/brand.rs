//! The brand string: SDM 2A, "The Processor Brand String Method".

use super::cpuid::{Leaf, Registers};

/// The three leaves.
pub const BRAND: [u32; 3] = [0x8000_0002, 0x8000_0003, 0x8000_0004];
/// The bytes that the leaves have room for.
pub(super) const MAX_LEN: usize = 48;

/// The leaves that hold `text`.
pub(super) fn leaves(text: &str) -> impl Iterator<Item = (Leaf, Registers)> {
    let mut bytes = [0; MAX_LEN];
    bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    let (words, _) = bytes.as_chunks();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (leaves, _) = words.as_chunks();
    let leaves: Vec<_> = leaves.to_vec();
    BRAND
        .into_iter()
        .zip(leaves)
        .map(|(function, [eax, ebx, ecx, edx])| (Leaf::new(function), Registers { eax, ebx, ecx, edx }))
}
