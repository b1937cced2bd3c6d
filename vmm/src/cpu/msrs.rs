//! Decodes MSRs that report capabilities, bit by bit: SDM 3D, "VMX Capability Reporting Facility"; SDM 4, "Architectural MSRs".

use arch::cpu::{
    feature::{FeatureId, Place},
    msr,
    vmx::Controls,
};

/// The MSRs' names without `IA32_`.
const NAMES: [(u32, &str); 23] = [
    (msr::FEATURE_CONTROL, "FEATURE_CONTROL"),
    (msr::BIOS_SIGN_ID, "BIOS_SIGN_ID"),
    (msr::CORE_CAPABILITIES, "CORE_CAPABILITIES"),
    (msr::ARCH_CAPABILITIES, "ARCH_CAPABILITIES"),
    (msr::MCG_CAP, "MCG_CAP"),
    (0x480, "VMX_BASIC"),
    (0x481, "VMX_PINBASED_CTLS"),
    (0x482, "VMX_PROCBASED_CTLS"),
    (0x483, "VMX_EXIT_CTLS"),
    (0x484, "VMX_ENTRY_CTLS"),
    (0x485, "VMX_MISC"),
    (0x486, "VMX_CR0_FIXED0"),
    (0x487, "VMX_CR0_FIXED1"),
    (0x488, "VMX_CR4_FIXED0"),
    (0x489, "VMX_CR4_FIXED1"),
    (0x48a, "VMX_VMCS_ENUM"),
    (0x48b, "VMX_PROCBASED_CTLS2"),
    (0x48c, "VMX_EPT_VPID_CAP"),
    (0x48d, "VMX_TRUE_PINBASED_CTLS"),
    (0x48e, "VMX_TRUE_PROCBASED_CTLS"),
    (0x48f, "VMX_TRUE_EXIT_CTLS"),
    (0x490, "VMX_TRUE_ENTRY_CTLS"),
    (0x491, "VMX_VMFUNC"),
];

/// Bits of an MSR that form a number.
#[derive(Clone, Copy, Debug)]
struct Field {
    index: u32,
    high: u32,
    low: u32,
    name: &'static str,
    show: fn(u64) -> String,
}

const FIELDS: &[Field] = &[
    field(0x3a, 0, 0, "locked", yes),
    field(0x3a, 2, 2, "VMX outside SMX", yes),
    field(0x3a, 20, 20, "local machine checks", yes),
    field(0x8b, 63, 0, "microcode revision", hex),
    field(0x179, 7, 0, "machine-check banks", number),
    field(0x179, 8, 8, "IA32_MCG_CTL", yes),
    field(0x179, 24, 24, "software error recovery", yes),
    field(0x179, 27, 27, "local machine checks", yes),
    field(0x480, 30, 0, "VMCS revision", hex),
    field(0x480, 44, 32, "VMCS region", bytes),
    field(0x480, 48, 48, "32-bit addresses", yes),
    field(0x480, 49, 49, "dual-monitor treatment of SMIs", yes),
    field(0x480, 53, 50, "VMCS memory", memory_type),
    field(0x485, 4, 0, "preemption timer, TSC ticks", binary_exponent),
    field(0x485, 14, 14, "processor trace in VMX", yes),
    field(0x485, 15, 15, "SMBASE readable", yes),
    field(0x485, 24, 16, "CR3-target values", number),
    field(0x485, 27, 25, "MSRs of a list", lists),
    field(0x485, 28, 28, "SMI blocking in VMXOFF", yes),
    field(0x485, 63, 32, "MSEG revision", hex),
    field(0x486, 63, 0, "CR0 bits that must be 1", hex),
    field(0x487, 63, 0, "CR0 bits that may be 1", hex),
    field(0x488, 63, 0, "CR4 bits that must be 1", hex),
    field(0x489, 63, 0, "CR4 bits that may be 1", hex),
    field(0x48a, 9, 1, "greatest VMCS index", number),
    field(0x48c, 8, 8, "EPT tables in uncached memory", yes),
    field(0x48c, 14, 14, "EPT tables in write-back memory", yes),
];

/// A decoded MSR.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    /// The fields that are no features: the bits, the name, and the value in words.
    pub(super) facts: Vec<(u64, &'static str, String)>,
    /// The features with a bit in it.
    pub(super) features: Vec<(u32, FeatureId)>,
    /// The remaining bits.
    pub(super) rest: u64,
}

/// A VMX control.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    /// The bit in both halves of the MSR.
    pub(super) bit: u32,
    /// The values that it can have.
    pub(super) state: State,
    /// The feature, if the control is one.
    pub(super) feature: Option<FeatureId>,
}

/// The values that a control can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// 0 or 1, as the hypervisor chooses.
    Either,
    /// Always 1.
    One,
    /// Always 0.
    Zero,
    /// Neither 0 nor 1, which no CPU reports.
    Neither,
}

impl Decoded {
    /// Decodes an MSR without pairs of controls.
    pub(super) fn new(index: u32, value: u64) -> Self {
        let fields = FIELDS.iter().filter(|field| field.index == index);
        let facts: Vec<_> = fields
            .map(|field| {
                let mask = u64::MAX >> (63 - (field.high - field.low)) << field.low;
                (mask, field.name, (field.show)((value & mask) >> field.low))
            })
            .collect();
        let features: Vec<_> = FeatureId::all()
            .filter_map(|id| match id.feature().place {
                Place::Msr(msr, bit) if msr == index => Some((bit, id)),
                _ => None,
            })
            .collect();
        let named = facts.iter().map(|(mask, ..)| *mask).chain(features.iter().map(|(bit, _)| 1 << bit));
        let rest = !named.fold(0, |all, mask| all | mask);
        Self { facts, features, rest }
    }
}

/// The MSR's name, if it is one of these.
pub(super) fn name(index: u32) -> String {
    let known = NAMES.iter().find(|(msr, _)| *msr == index);
    known.map_or_else(String::new, |(_, name)| format!("IA32_{name}"))
}

/// Returns whether an MSR has controls in pairs of bits.
pub(super) fn has_controls(index: u32) -> bool {
    matches!(index, 0x481..=0x484 | 0x48b | 0x48d..=0x490)
}

/// Returns whether a "true" control MSR gives the same information and more.
pub(super) fn is_older(index: u32) -> bool {
    msr::VMX_OLD_CONTROLS.iter().any(|(old, _)| *old == index)
}

/// The controls of an MSR.
pub(super) fn controls(index: u32, value: u64) -> Vec<Control> {
    let Controls { must_be_one, may_be_one } = Controls::from(value);
    let newer = msr::VMX_OLD_CONTROLS.iter().find(|(old, _)| *old == index).map_or(index, |(_, new)| *new);
    let state = |bit: u32| match (must_be_one >> bit & 1, may_be_one >> bit & 1) {
        (0, 1) => State::Either,
        (1, 1) => State::One,
        (0, 0) => State::Zero,
        _ => State::Neither,
    };
    let named = |bit| FeatureId::all().find(|id| id.feature().place == Place::Control(newer, bit));
    (0..u32::BITS).map(|bit| Control { bit, state: state(bit), feature: named(bit) }).collect()
}

impl State {
    /// The state in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Either => "either",
            Self::One => "always 1",
            Self::Zero => "always 0",
            Self::Neither => "neither",
        }
    }
}

/// Writes `[44:32]`, `[5]`, or nothing for a whole MSR.
pub(super) fn range(bits: u64) -> String {
    match (bits.trailing_zeros(), 63 - bits.leading_zeros()) {
        (0, 63) => String::new(),
        (low, high) if low == high => format!("[{low}]"),
        (low, high) => format!("[{high}:{low}]"),
    }
}

const fn field(index: u32, high: u32, low: u32, name: &'static str, show: fn(u64) -> String) -> Field {
    Field { index, high, low, name, show }
}

fn yes(value: u64) -> String {
    if value == 0 { "no" } else { "yes" }.to_owned()
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

fn number(value: u64) -> String {
    value.to_string()
}

fn bytes(value: u64) -> String {
    format!("{value} bytes")
}

fn binary_exponent(value: u64) -> String {
    format!("2^{value}")
}

fn lists(value: u64) -> String {
    format!("at most {}", 512 * (value + 1))
}

/// SDM 3A, "Memory Types That Can Be Encoded in PAT".
fn memory_type(value: u64) -> String {
    match value {
        0 => "uncacheable".to_owned(),
        6 => "write-back".to_owned(),
        other => format!("type {other}"),
    }
}
