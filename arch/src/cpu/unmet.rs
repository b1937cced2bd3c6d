//! Features that were asked for and can't be given.

use std::fmt;

use serde::{Serialize, Serializer};

use super::feature::FeatureId;

/// A feature that was asked for and can't be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The feature.
    pub feature: FeatureId,
    /// The reason.
    pub reason: Reason,
}

/// Reasons why a feature can't be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The host's KVM does not offer it.
    Host,
    /// Another feature, which this one needs, is missing.
    Needs(FeatureId),
    /// Another word of `--cpu` hides it.
    Hidden(&'static str),
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Host => write!(f, "{} ({})", self.feature, self.feature.feature().place),
            Reason::Needs(need) => write!(f, "{} (needs {need})", self.feature),
            Reason::Hidden(word) => write!(f, "{} (hidden by {word})", self.feature),
        }
    }
}

impl Serialize for Unmet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
