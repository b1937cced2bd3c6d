//! Sets of features.

use std::{
    fmt,
    ops::{BitAnd, BitOr, Sub},
};

use super::{id::FeatureId, table::COUNT};

const WORDS: usize = COUNT.div_ceil(64);

/// A set of features.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FeatureSet([u64; WORDS]);

impl FeatureSet {
    /// Returns whether a feature is in the set.
    #[must_use]
    pub fn contains(&self, id: FeatureId) -> bool {
        self.0[id.index() / 64] >> (id.index() % 64) & 1 == 1
    }

    /// Puts a feature in.
    pub fn insert(&mut self, id: FeatureId) {
        self.0[id.index() / 64] |= 1 << (id.index() % 64);
    }

    /// Takes a feature out.
    pub fn remove(&mut self, id: FeatureId) {
        self.0[id.index() / 64] &= !(1 << (id.index() % 64));
    }

    /// Puts a feature in or takes it out.
    pub fn set(&mut self, id: FeatureId, on: bool) {
        if on { self.insert(id) } else { self.remove(id) }
    }

    /// The features, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = FeatureId> + use<> {
        let words = (0_u16..).step_by(64).zip(self.0).filter(|(_, word)| *word != 0);
        words.flat_map(|(first, word)| {
            (first..first + 64)
                .zip(0..64)
                .filter(move |(_, bit)| word >> bit & 1 == 1)
                .map(|(id, _)| FeatureId(id))
        })
    }

    /// Returns the number of features.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Returns whether the set has no feature.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl FromIterator<FeatureId> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = FeatureId>>(ids: I) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

impl BitAnd for FeatureSet {
    type Output = Self;

    fn bitand(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }
}

impl BitOr for FeatureSet {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }
}

/// The features in the first set and not in the second.
impl Sub for FeatureSet {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
        self
    }
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(FeatureId::name)).finish()
    }
}
