//! Leaf 0DH, recomputed for the features that the CPU has: SDM 2A, "CPUID", leaf 0DH.

use super::cpuid::{Cpuid, Leaf, Registers};

pub(super) const FUNCTION: u32 = 0xd;
/// x87 and SSE state are always there, in the legacy area.
const LEGACY: u64 = 0b11;
/// Subleaf 1, EAX: XSAVE has the compacted form.
const XSAVEC: u32 = 1 << 1;
/// Subleaf 1, EAX: the compacted form can hold supervisor state.
const XSAVES: u32 = 1 << 3;
/// Bytes of the legacy area and the header.
const MIN_SIZE: u32 = 576;

/// The state that each feature brings, by its bit in XCR0 or IA32_XSS.
const COMPONENTS: [(u32, &str); 17] = [
    (2, "avx"),
    (3, "mpx"),
    (4, "mpx"),
    (5, "avx512f"),
    (6, "avx512f"),
    (7, "avx512f"),
    (8, "intel-pt"),
    (9, "pku"),
    (11, "cet-ss"),
    (11, "cet-ibt"),
    (12, "cet-ss"),
    (12, "cet-ibt"),
    (15, "arch-lbr"),
    (17, "amx-tile"),
    (18, "amx-tile"),
    (19, "apxf"),
    (62, "lwp"),
];
/// Features that also work without state: SDM 3A, "Enumeration and Enabling of XSAVE-Supported Features" of each.
const STATELESS: [&str; 2] = ["intel-pt", "arch-lbr"];

/// The features that can't be used without state in leaf 0DH, and whose state is missing or incomplete.
pub(super) fn half(cpuid: &Cpuid) -> impl Iterator<Item = &'static str> {
    let (main, more) = (cpuid.get(Leaf::sub(FUNCTION, 0)), cpuid.get(Leaf::sub(FUNCTION, 1)));
    let there = join(main.eax, main.edx) | join(more.ecx, more.edx);
    let missing = COMPONENTS.iter().filter(move |(bit, _)| there >> bit & 1 == 0);
    missing.map(|(_, name)| *name).filter(|name| !STATELESS.contains(name))
}

/// The states of a CPU beyond those that every CPU has: each one's bit, and a feature that brings it if one is known.
pub(super) fn components(cpuid: &Cpuid) -> impl Iterator<Item = (u32, Option<&'static str>)> {
    let (main, more) = (cpuid.get(Leaf::sub(FUNCTION, 0)), cpuid.get(Leaf::sub(FUNCTION, 1)));
    let there = join(main.eax, main.edx) | join(more.ecx, more.edx);
    extended(there).map(|bit| {
        let named = COMPONENTS.iter().find(|(component, _)| *component == bit);
        (bit, named.map(|(_, name)| *name))
    })
}

/// Removes the state of features that are `gone`. `unknown` says whether state stays that no known feature brings.
pub(super) fn rewrite(cpuid: &mut Cpuid, gone: impl Fn(&str) -> bool, unknown: bool) {
    if gone("xsave") {
        cpuid.remove(FUNCTION);
        return;
    }
    let (main, more) = (cpuid.get(Leaf::sub(FUNCTION, 0)), cpuid.get(Leaf::sub(FUNCTION, 1)));
    let lost = (0..u64::BITS).filter(|&bit| {
        let mut features = COMPONENTS.iter().filter(|(component, _)| *component == bit).peekable();
        if features.peek().is_none() { !unknown } else { features.all(|(_, name)| gone(name)) }
    });
    let kept = !lost.fold(0, |mask, bit| mask | 1_u64 << bit) | LEGACY;
    let supervisor = if gone("xsaves") { 0 } else { kept };
    let user = join(main.eax, main.edx);
    let system = join(more.ecx, more.edx);
    let (new_user, new_system) = (user & kept, system & supervisor);
    let compacts = more.eax & (XSAVEC | XSAVES) != 0;
    if (new_user, new_system) == (user, system) {
        // Without the compacted form, its size is 0, even if the host reports one.
        if let Some(more) = cpuid.0.get_mut(&Leaf::sub(FUNCTION, 1)).filter(|_| !compacts) {
            more.ebx = 0;
        }
        return;
    }
    cpuid.0.retain(|leaf, _| {
        leaf.function != FUNCTION
            || leaf.index.is_none_or(|index| index < 2 || (new_user | new_system) >> index & 1 == 1)
    });
    let size = standard_size(cpuid, new_user);
    let [eax, edx] = split(new_user);
    cpuid.0.insert(Leaf::sub(FUNCTION, 0), Registers { eax, ebx: size, ecx: size, edx });
    let ebx = if compacts { compacted_size(cpuid, new_user | new_system) } else { 0 };
    let [ecx, edx] = split(new_system);
    cpuid.0.insert(Leaf::sub(FUNCTION, 1), Registers { eax: more.eax, ebx, ecx, edx });
}

/// The size of the standard form, in which each component has a fixed place.
fn standard_size(cpuid: &Cpuid, components: u64) -> u32 {
    let ends = extended(components).map(|bit| {
        let component = cpuid.get(Leaf::sub(FUNCTION, bit));
        component.ebx.saturating_add(component.eax)
    });
    ends.fold(MIN_SIZE, u32::max)
}

/// The size of the compacted form: one component after the other, some at the next multiple of 64.
fn compacted_size(cpuid: &Cpuid, components: u64) -> u32 {
    const ALIGNED: u32 = 1 << 1;
    extended(components).fold(MIN_SIZE, |end, bit| {
        let component = cpuid.get(Leaf::sub(FUNCTION, bit));
        let start = if component.ecx & ALIGNED == 0 { end } else { end.next_multiple_of(64) };
        start.saturating_add(component.eax)
    })
}

fn extended(components: u64) -> impl Iterator<Item = u32> {
    (2..u64::BITS - 1).filter(move |bit| components >> bit & 1 == 1)
}

fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn split(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

#[cfg(test)]
#[path = "xsave_test.rs"]
mod tests;
