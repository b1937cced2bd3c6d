//! A feature by its number.

use std::fmt;

use super::{
    row::Feature,
    table::{COUNT, ROWS},
};

/// The rows of all parts.
static FEATURES: [&Feature; COUNT] = ROWS;

/// A feature's number in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureId(pub(super) u16);

impl FeatureId {
    /// The row in the table.
    #[must_use]
    pub fn feature(self) -> &'static Feature {
        FEATURES[self.index()]
    }

    /// QEMU's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.feature().name
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for FeatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for FeatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
