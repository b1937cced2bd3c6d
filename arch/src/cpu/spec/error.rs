//! What can be wrong with the words of `--cpu`.

use super::{MAX_PHYSICAL_BITS, MIN_PHYSICAL_BITS};

/// What is wrong with the words of `--cpu`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The first word names no CPU.
    #[error("unknown CPU {given:?}{}: `nvmm cpu list` shows all", suggestion(.nearest))]
    Model {
        /// What was given.
        given: String,
        /// What may have been meant.
        nearest: Vec<&'static str>,
    },
    /// A further word names no feature.
    #[error("unknown CPU feature {given:?}{}: `nvmm cpu list` shows all", suggestion(.nearest))]
    Feature {
        /// What was given.
        given: String,
        /// What may have been meant.
        nearest: Vec<&'static str>,
    },
    /// `feature=maybe`.
    #[error("{name}={value}: give on or off")]
    Switch {
        /// The feature or property.
        name: String,
        /// What was given.
        value: String,
    },
    /// `family=300`.
    #[error("{name}={value}: give {allowed}")]
    Value {
        /// The property.
        name: String,
        /// What was given.
        value: String,
        /// What can be given.
        allowed: &'static str,
    },
    /// `family`, and nothing behind it.
    #[error("{name}: give {name}=VALUE, {allowed}")]
    NoValue {
        /// The property.
        name: String,
        /// What can be given.
        allowed: &'static str,
    },
    /// `phys-bits=100`.
    #[error("{name}={value}: give a number from {MIN_PHYSICAL_BITS} to {MAX_PHYSICAL_BITS}")]
    PhysicalBits {
        /// The property.
        name: String,
        /// What was given.
        value: String,
    },
    /// `hv-relaxed`.
    #[error("{0}: nvmm has no Hyper-V enlightenments, which make Windows faster; take the word out")]
    HyperV(String),
    /// What QEMU has for other uses.
    #[error("{0}: nvmm does not have this property of QEMU's; take the word out")]
    QemuOnly(String),
    /// Nothing between two commas.
    #[error("an empty part in {0:?}: give MODEL,+feature,-feature")]
    Empty(String),
}

/// ` (did you mean a, b or c?)`, or nothing.
fn suggestion(nearest: &[&str]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!(" (did you mean {one}?)"),
        [some @ .., last] => format!(" (did you mean {} or {last}?)", some.join(", ")),
    }
}
