//! Bits of CPUID by name.

use std::fmt;

use super::cpuid::{Cpuid, Leaf, Register};

/// A run of bits in a CPUID register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The leaf.
    pub leaf: Leaf,
    /// The register.
    pub register: Register,
    /// The lowest bit.
    pub shift: u32,
    /// The number of bits.
    pub width: u32,
    /// The manual's name for the bits.
    pub name: &'static str,
}

impl Field {
    /// Bits `high..=low` in a function without subleaves.
    pub(super) const fn new(
        function: u32,
        register: Register,
        high: u32,
        low: u32,
        name: &'static str,
    ) -> Self {
        Self { leaf: Leaf::new(function), register, shift: low, width: high - low + 1, name }
    }

    /// One bit.
    pub(super) const fn bit(function: u32, register: Register, bit: u32, name: &'static str) -> Self {
        Self::new(function, register, bit, bit, name)
    }

    /// The same bits in a subleaf.
    pub(super) const fn at(self, leaf: Leaf) -> Self {
        Self { leaf, ..self }
    }

    /// The greatest value that fits.
    pub(super) const fn max(&self) -> u32 {
        u32::MAX >> (32 - self.width)
    }

    /// The field's bits in the register.
    pub(super) const fn mask(&self) -> u32 {
        self.max() << self.shift
    }

    /// Reads the field in `cpuid`.
    pub(super) fn get(&self, cpuid: &Cpuid) -> u32 {
        cpuid.get(self.leaf).get(self.register) >> self.shift & self.max()
    }

    /// Sets the field in `cpuid`, and no other bit.
    pub(super) fn set(&self, cpuid: &mut Cpuid, value: u32) {
        let register = cpuid.0.entry(self.leaf).or_default().get_mut(self.register);
        let mask = self.mask();
        *register = *register & !mask | value << self.shift & mask;
    }
}

/// Writes the place as the SDM does: `CPUID.01H:EBX[31:24]`.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.leaf, self.register)?;
        match self.width {
            32 => Ok(()),
            1 => write!(f, "[{}]", self.shift),
            width => write!(f, "[{}:{}]", self.shift + width - 1, self.shift),
        }
    }
}
