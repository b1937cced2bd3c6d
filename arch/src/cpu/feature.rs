//! Features by QEMU's names: where the bit of each lives, what it needs, and which set of them a CPU has.
//!
//! Parsing, help, explanations, differences and tests all read one table.

mod amd;
mod basic;
mod id;
mod kvm;
mod names;
mod row;
mod set;
mod speculation;
mod structured;
mod table;
mod vmx;

pub use id::FeatureId;
pub use row::{Feature, Place};
pub use set::FeatureSet;

use self::table::COUNT;

/// Replaces `_` by `-`: QEMU takes both in names.
fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

impl FeatureId {
    /// Finds the feature with this name or alias.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        names::find(name).or_else(|| names::find(&normal(name)))
    }

    /// All features, in the table's order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(COUNT)
    }

    /// Existing names that are most like one that doesn't exist, the best first; at most three.
    #[must_use]
    pub fn suggest(name: &str) -> Vec<&'static str> {
        crate::suggest::nearest(&normal(name), Self::all().map(|id| id.feature().name))
    }

    /// The features that this one needs.
    #[must_use]
    pub fn needs(self) -> &'static [Self] {
        names::needs(self)
    }

    /// All that this feature's name stands for: itself and the features that QEMU switches with it.
    #[must_use]
    pub fn together(self) -> FeatureSet {
        let with = self.feature().with.iter().filter_map(|name| Self::find(name));
        with.chain([self]).collect()
    }

    /// All features that need this one, directly or not.
    #[must_use]
    pub fn dependents(self) -> FeatureSet {
        let mut lost = FeatureSet::from_iter([self]);
        loop {
            let more: FeatureSet =
                Self::all().filter(|id| id.needs().iter().any(|need| lost.contains(*need))).collect();
            let next = lost | more;
            if next == lost {
                lost.remove(self);
                return lost;
            }
            lost = next;
        }
    }
}

impl FeatureSet {
    /// Parses names with white space between them, each with the features that QEMU switches with it. Names that don't exist are left out.
    #[must_use]
    pub fn parse(names: &str) -> Self {
        let ids = names.split_whitespace().filter_map(FeatureId::find);
        ids.fold(Self::default(), |set, id| set | id.together())
    }
}

#[cfg(test)]
#[path = "feature/feature_test.rs"]
mod tests;
