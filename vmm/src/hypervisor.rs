//! The hypervisors that CPUID tells this machine of.

use std::{arch::x86_64::__cpuid, iter};

use arch::cpu::cpuid::{HYPERVISOR, Registers};

/// KVM's signature. Linux, "KVM CPUID bits".
pub(crate) const KVM: &str = "KVMKVMKVM";
/// Hyper-V's, which other hypervisors show first when they offer Hyper-V's interface: Windows looks nowhere else, and
/// their own signature moves on to 40000100H.
pub(crate) const HYPER_V: &str = "Microsoft Hv";

/// Each signature is at the first leaf of a block. Linux looks for them in the blocks behind the first too.
const BLOCK: u32 = 0x100;
const BLOCKS: u32 = 0x100;

/// This machine's signatures by rising leaf, each once; none where CPUID.01H:ECX[31] tells of no hypervisor.
///
/// CPUID is asked only as far as the iterator is: each question is an exit to the hypervisor.
pub(crate) fn signatures() -> impl Iterator<Item = String> {
    // Without the bit, these leaves are whatever the CPU answers to any large leaf.
    let blocks = if __cpuid(1).ecx >> 31 == 1 { BLOCKS } else { 0 };
    scan(blocks, |leaf| {
        let answer = __cpuid(leaf);
        Registers { eax: answer.eax, ebx: answer.ebx, ecx: answer.ecx, edx: answer.edx }
    })
}

/// KVM's signature if it is among them, else the first one.
#[must_use]
pub(crate) fn signature() -> String {
    let mut first = None;
    for signature in signatures() {
        if signature == KVM {
            return signature;
        }
        first.get_or_insert(signature);
    }
    first.unwrap_or_default()
}

fn scan(blocks: u32, cpuid: impl Fn(u32) -> Registers) -> impl Iterator<Item = String> {
    let mut leaves = (0..blocks).map(|block| HYPERVISOR + block * BLOCK);
    let mut seen = Vec::new();
    iter::from_fn(move || {
        let new = leaves.find_map(|leaf| read(leaf, cpuid(leaf)).filter(|name| !seen.contains(name)))?;
        seen.push(new.clone());
        Some(new)
    })
}

/// The signature that a block's first leaf answers with.
fn read(leaf: u32, answer: Registers) -> Option<String> {
    // EAX is the block's last leaf, or 0 in old versions of KVM. A block that no hypervisor uses answers with zeros, or
    // with the CPU's last basic leaf.
    let in_block = answer.eax == 0 || (leaf..leaf + BLOCK).contains(&answer.eax);
    let bytes = answer.signature();
    let name = std::str::from_utf8(&bytes).ok()?.trim_end_matches('\0');
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (in_block && is_name).then(|| name.to_owned())
}

#[cfg(test)]
#[path = "hypervisor_test.rs"]
mod tests;
