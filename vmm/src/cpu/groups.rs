//! Facts that take several registers or leaves: names, caches, levels of the topology, and state that XSAVE saves.

use arch::cpu::{
    brand::BRAND,
    cpuid::{Cpuid, EXTENDED, HYPERVISOR, Leaf, Register, Registers},
};

use super::{fact::Fact, fields::Owner, values};
use crate::size::Size;

/// The leaves that contain the maker's name.
const VENDORS: [u32; 2] = [0x0, EXTENDED];
/// The first leaf of the brand string.
const FIRST_BRAND: u32 = BRAND[0];
const ALL: u32 = u32::MAX;

/// The fact in a leaf.
pub(super) fn fact(cpuid: &Cpuid, leaf: Leaf) -> Option<Fact> {
    let registers = cpuid.get(leaf);
    match leaf.function {
        function if VENDORS.contains(&function) => {
            Some(Fact::new([0, ALL, ALL, ALL], "vendor", text(&registers.maker()), Owner::Host))
        }
        HYPERVISOR => {
            Some(Fact::new([0, ALL, ALL, ALL], "hypervisor", text(&registers.signature()), Owner::Host))
        }
        FIRST_BRAND => Some(Fact::new([ALL; 4], "brand", brand(cpuid), Owner::Leaf)),
        function if BRAND.contains(&function) => Some(Fact::new([ALL; 4], "", String::new(), Owner::Leaf)),
        0x4 | 0x8000_001d => {
            let value = cache(registers);
            Some(Fact::new([0xff, ALL, ALL, 0], "cache", value, Owner::Leaf))
        }
        0xb | 0x1f | 0x8000_0026 => {
            let value = level(leaf.function, registers);
            Some(Fact::new([0x1f, 0xffff, 0xffff, 0], "level", value, Owner::Topology))
        }
        0xd if leaf.index.is_some_and(|index| index > 1) => {
            let name = values::component(leaf.index.unwrap_or_default());
            let value = format!("{name}, {} bytes at {}", registers.eax, registers.ebx);
            Some(Fact::new([ALL, ALL, 0, 0], "state", value, Owner::Host))
        }
        _ => None,
    }
}

/// Letters, up to the zeros at the end. Other bytes are escaped.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes[..end].escape_ascii().to_string()
}

fn brand(cpuid: &Cpuid) -> String {
    let leaves = BRAND.map(|function| cpuid.get(Leaf::new(function)));
    let words = leaves.map(|leaf| Register::ALL.map(|register| leaf.get(register).to_le_bytes()));
    text(words.as_flattened().as_flattened())
}

/// `L1 data, 32 KiB: 8 ways, 64 sets, 64-byte lines`. SDM 2A, "Deterministic Cache Parameters Leaf".
fn cache(Registers { eax, ebx, ecx, .. }: Registers) -> String {
    let (kind, level) = (eax & 0x1f, eax >> 5 & 0x7);
    let name = match kind {
        0 if (eax & 0xff, ebx, ecx) == (0, 0, 0) => return "no more".to_owned(),
        1 => "data".to_owned(),
        2 => "instructions".to_owned(),
        3 => "unified".to_owned(),
        kind => format!("type {kind}"),
    };
    let bits = |high: u32, low: u32| u64::from(ebx >> low & (u32::MAX >> (31 - (high - low)))) + 1;
    let (line, partitions, ways, sets) = (bits(11, 0), bits(21, 12), bits(31, 22), u64::from(ecx) + 1);
    let size = Size(line * partitions * ways * sets);
    let partitions = if partitions == 1 { String::new() } else { format!(", {partitions} partitions") };
    format!("L{level} {name}, {size}: {ways} ways, {sets} sets, {line}-byte lines{partitions}")
}

/// Kinds of levels of leaves 0BH and 1FH. SDM 2A, "V2 Extended Topology Enumeration Leaf".
const LEVELS: [&str; 7] = ["end", "threads", "cores", "modules", "tiles", "dies", "die groups"];
/// Kinds of levels of function `8000_0026h`. APM 3, "Function 8000_0026—Extended CPU Topology".
const LEVELS_AMD: [&str; 5] = ["end", "cores", "complexes", "dies", "sockets"];

/// `0, threads: 2 logical processors, 1 bit`.
fn level(function: u32, Registers { eax, ebx, ecx, .. }: Registers) -> String {
    let names = if function >= EXTENDED { &LEVELS_AMD[..] } else { &LEVELS[..] };
    let (number, kind) = (ecx & 0xff, ecx >> 8 & 0xff);
    let name = usize::try_from(kind).ok().and_then(|kind| names.get(kind));
    let name = name.map_or_else(|| format!("type {kind}"), |name| (*name).to_owned());
    let (processors, bits) = (ebx & 0xffff, eax & 0x1f);
    if (kind, processors, bits) == (0, 0, 0) {
        return format!("{number}, {name}");
    }
    let plural = |count: u32, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
    let (processors, bits) = (plural(processors, "logical processor"), plural(bits, "bit"));
    format!("{number}, {name}: {processors}, {bits} of the APIC id")
}
