//! Decodes leaves of CPUID, bit by bit: features, numbers, and bits without a name.

use arch::cpu::{
    cpuid::{Cpuid, Leaf, Register},
    feature::{FeatureId, Place},
};

use super::{fact::Fact, fields::FIELDS, groups};

/// A decoded leaf. Each bit is in one of the three.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    /// The fields that are no features.
    pub(super) facts: Vec<Fact>,
    /// The features with a bit in it, whether set or not.
    pub(super) features: Vec<(Register, u32, FeatureId)>,
    /// The remaining bits, by register.
    pub(super) rest: [u32; 4],
}

impl Decoded {
    /// Decodes a leaf.
    pub(super) fn new(cpuid: &Cpuid, leaf: Leaf) -> Self {
        let registers = cpuid.get(leaf);
        let mut facts: Vec<_> = groups::fact(cpuid, leaf).into_iter().collect();
        let fields = FIELDS.iter().filter(|field| field.function == leaf.function);
        facts.extend(fields.filter(|field| field.indexes.contains(leaf.index)).map(|field| {
            let bits =
                Register::ALL.map(|register| if register == field.register { field.mask() } else { 0 });
            let value = (registers.get(field.register) & field.mask()) >> field.low;
            Fact::new(bits, field.name, (field.show)(value), field.owner)
        }));
        let features: Vec<_> = features(leaf).collect();
        let mut rest = [u32::MAX; 4];
        for fact in &facts {
            rest.iter_mut().zip(fact.bits).for_each(|(rest, bits)| *rest &= !bits);
        }
        for (rest, register) in rest.iter_mut().zip(Register::ALL) {
            let bits = features.iter().filter(|(in_register, ..)| *in_register == register);
            bits.for_each(|(_, bit, _)| *rest &= !(1 << bit));
        }
        Self { facts, features, rest }
    }
}

/// The features in a leaf. A leaf without an index counts as its function's first one.
fn features(leaf: Leaf) -> impl Iterator<Item = (Register, u32, FeatureId)> {
    let same = move |other: Leaf| {
        other.function == leaf.function && other.index.unwrap_or(0) == leaf.index.unwrap_or(0)
    };
    FeatureId::all().filter_map(move |id| match id.feature().place {
        Place::Cpuid(place, register, bit) if same(place) => Some((register, bit, id)),
        _ => None,
    })
}

#[cfg(test)]
#[path = "decode_test.rs"]
mod tests;
