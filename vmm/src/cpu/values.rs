//! Formats numbers of CPUID and MSRs for people.
//!
//! Each function gives different texts for different numbers, so that equal texts mean equal values.

use arch::cpu::signature::Signature;

use crate::size::Size;

/// `0x1f`.
pub(super) fn hex(value: u32) -> String {
    format!("{value:#x}")
}

pub(super) fn number(value: u32) -> String {
    value.to_string()
}

/// Formats a count that is stored less one.
pub(super) fn minus_one(value: u32) -> String {
    (u64::from(value) + 1).to_string()
}

pub(super) fn yes(value: u32) -> String {
    if value == 0 { "no" } else { "yes" }.to_owned()
}

pub(super) fn bytes(value: u32) -> String {
    format!("{value} bytes")
}

/// A size in units of 8 bytes.
pub(super) fn eights(value: u32) -> String {
    format!("{} bytes", u64::from(value) * 8)
}

pub(super) fn hertz(value: u32) -> String {
    format!("{value} Hz")
}

pub(super) fn kilohertz(value: u32) -> String {
    format!("{value} kHz")
}

pub(super) fn megahertz(value: u32) -> String {
    format!("{value} MHz")
}

pub(super) fn binary_exponent(value: u32) -> String {
    format!("2^{value} bytes")
}

/// `family 6, model 60, stepping 3 (0x306c3)`.
pub(super) fn signature(value: u32) -> String {
    if value == 0 {
        return "none".to_owned();
    }
    let Signature { family, model, stepping } = Signature::decode(value);
    format!("family {family}, model {model}, stepping {stepping} ({value:#x})")
}

/// `01 5a 03 76`: SDM 2A, "Encoding of CPUID Leaf 2 Descriptors".
pub(super) fn descriptors(value: u32) -> String {
    value.to_le_bytes().map(|byte| format!("{byte:02x}")).join(" ")
}

/// State that XSAVE saves, by XCR0's and `IA32_XSS`'s bits. SDM 1, "XSAVE-Supported Features and State-Component Bitmaps".
const STATE: [&str; 20] = [
    "x87",
    "SSE",
    "AVX",
    "BNDREGS",
    "BNDCSR",
    "opmask",
    "ZMM_Hi256",
    "Hi16_ZMM",
    "PT",
    "PKRU",
    "PASID",
    "CET_U",
    "CET_S",
    "HDC",
    "UINTR",
    "LBR",
    "HWP",
    "TILECFG",
    "TILEDATA",
    "APX",
];

/// `x87 SSE AVX`.
pub(super) fn state(value: u32) -> String {
    let set = (0..u32::BITS).filter(|bit| value >> bit & 1 == 1);
    let names: Vec<_> = set.map(component).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" ") }
}

/// The name of a state component.
pub(super) fn component(bit: u32) -> String {
    let name = usize::try_from(bit).ok().and_then(|bit| STATE.get(bit));
    name.map_or_else(|| format!("bit {bit}"), |name| (*name).to_owned())
}

/// Formats AMX's palettes.
pub(super) fn palette(value: u32) -> String {
    format!("{} bytes, {} each", value & 0xffff, value >> 16)
}

/// Writes `32 KiB, 8 ways, 64-byte lines`, and the number of lines for each tag. APM 3, "Function 8000_0005h—L1 Cache and TLB Information".
pub(super) fn amd_l1(value: u32) -> String {
    let [line, per_tag, ways, kib] = value.to_le_bytes();
    let ways = if ways == 0xff { "fully associative".to_owned() } else { format!("{ways} ways") };
    described(u64::from(kib) << 10, &ways, line, per_tag, "")
}

/// APM 3, "Function 8000_0006h—L2 Cache and TLB and L3 Cache Information".
pub(super) fn amd_l2(value: u32) -> String {
    let [line, tag_and_ways, ..] = value.to_le_bytes();
    described(u64::from(value >> 16) << 10, &ways(tag_and_ways >> 4), line, tag_and_ways & 0xf, "")
}

pub(super) fn amd_l3(value: u32) -> String {
    let [line, tag_and_ways, ..] = value.to_le_bytes();
    let reserved = match value >> 16 & 0b11 {
        0 => String::new(),
        bits => format!(", reserved bits {bits:#x}"),
    };
    described(u64::from(value >> 18) << 19, &ways(tag_and_ways >> 4), line, tag_and_ways & 0xf, &reserved)
}

fn described(size: u64, ways: &str, line: u8, per_tag: u8, more: &str) -> String {
    format!("{}, {ways}, {line}-byte lines, {per_tag} per tag{more}", Size(size))
}

/// "L2/L3 Cache and TLB Associativity Field Encoding".
fn ways(code: u8) -> String {
    match code {
        0 => "disabled".to_owned(),
        1 => "direct mapped".to_owned(),
        2 | 4 => format!("{code} ways"),
        6 => "8 ways".to_owned(),
        8 => "16 ways".to_owned(),
        10 => "32 ways".to_owned(),
        9 => "ways as in 8000001DH".to_owned(),
        11 => "48 ways".to_owned(),
        12 => "64 ways".to_owned(),
        13 => "96 ways".to_owned(),
        14 => "128 ways".to_owned(),
        15 => "fully associative".to_owned(),
        code => format!("associativity {code}"),
    }
}
