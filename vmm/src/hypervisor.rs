//! The hypervisors that CPUID shows to this machine.

use std::{arch::x86_64::__cpuid, iter};

use arch::cpu::cpuid::{HYPERVISOR, Registers};

/// KVM's signature. Linux, "KVM CPUID bits".
pub(crate) const KVM: &str = "KVMKVMKVM";
/// Hyper-V's signature. Other hypervisors show it first when they offer Hyper-V's interface, because Windows looks nowhere else; their own
/// signature is then at 40000100H.
pub(crate) const HYPER_V: &str = "Microsoft Hv";

/// The distance between blocks of leaves. A signature is in the first leaf of a block, and Linux looks in several blocks.
const BLOCK: u32 = 0x100;
const BLOCKS: u32 = 0x100;

/// The signatures by rising leaf, each once; none if `CPUID.01H:ECX[31]` shows no hypervisor.
///
/// CPUID is executed only as the iterator advances, since each execution is an exit to the hypervisor.
pub(crate) fn signatures() -> impl Iterator<Item = String> {
    // Without the bit, these leaves contain what the CPU returns for any leaf beyond its last.
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

/// The signature in a block's first leaf.
fn read(leaf: u32, answer: Registers) -> Option<String> {
    // EAX is the block's last leaf, or 0 in old versions of KVM. A block that no hypervisor uses contains zeros, or the CPU's last basic
    // leaf.
    let in_block = answer.eax == 0 || (leaf..leaf + BLOCK).contains(&answer.eax);
    let bytes = answer.signature();
    let name = std::str::from_utf8(&bytes).ok()?.trim_end_matches('\0');
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (in_block && is_name).then(|| name.to_owned())
}

#[cfg(test)]
#[path = "hypervisor_test.rs"]
mod tests;
