//! A value in a leaf of CPUID that is no feature.

use arch::cpu::cpuid::{Cpuid, Leaf, Register};

use super::fields::Owner;

/// A value in a leaf, or in several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// The bits in EAX, EBX, ECX and EDX.
    pub(super) bits: [u32; 4],
    /// The name.
    pub(super) name: &'static str,
    /// The value, in words.
    pub(super) value: String,
    /// The source of its value.
    pub(super) owner: Owner,
}

impl Fact {
    pub(super) fn new(bits: [u32; 4], name: &'static str, value: String, owner: Owner) -> Self {
        Self { bits, name, value, owner }
    }

    /// Writes `EAX[31:26]`, `EAX`, or nothing if it takes several registers.
    pub(super) fn place(&self) -> String {
        let mut registers = Register::ALL.into_iter().zip(self.bits).filter(|(_, bits)| *bits != 0);
        match (registers.next(), registers.next()) {
            (Some((register, bits)), None) => format!("{register}{}", range(bits)),
            _ => String::new(),
        }
    }

    /// Returns whether it takes several registers.
    pub(super) fn is_group(&self) -> bool {
        self.bits.iter().filter(|bits| **bits != 0).count() > 1
    }

    /// Returns whether some of its bits are not zero.
    pub(super) fn is_set(&self, cpuid: &Cpuid, leaf: Leaf) -> bool {
        let registers = cpuid.get(leaf);
        Register::ALL.into_iter().zip(self.bits).any(|(register, bits)| registers.get(register) & bits != 0)
    }
}

/// Writes `[31:26]`, `[5]`, or nothing for a whole register.
fn range(bits: u32) -> String {
    match (bits.trailing_zeros(), 31 - bits.leading_zeros()) {
        (0, 31) => String::new(),
        (low, high) if low == high => format!("[{low}]"),
        (low, high) => format!("[{high}:{low}]"),
    }
}
