//! The types of arguments, answers and events, in QAPI's words.
//!
//! QEMU, "How to use the QAPI code generator".

use serde_json::Value;

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    String,
    /// One of these strings.
    Enum(&'static [&'static str]),
    /// An integer of 0 or more.
    Uint64,
    /// An address. QEMU's clients may give the upper half as negative numbers.
    Address,
    Boolean,
    /// Any value.
    Any,
    Object(&'static [Member]),
    /// A list of these.
    Array(&'static Type),
}

/// A member of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) of: Type,
    pub(super) optional: bool,
}

impl Type {
    /// An object without members: the answer of commands that return nothing.
    pub(super) const NOTHING: Self = Self::Object(&[]);

    /// The name in `query-commands`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::String | Self::Enum(_) => "string",
            Self::Uint64 => "uint64",
            Self::Address => "int64",
            Self::Boolean => "boolean",
            Self::Any => "any",
            Self::Object(_) => "object",
            Self::Array(_) => "array",
        }
    }

    /// Returns whether a value is of this type, without checking its members.
    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Self::String | Self::Enum(_) => value.is_string(),
            Self::Uint64 => value.is_u64(),
            Self::Address => value.is_u64() || value.is_i64(),
            Self::Boolean => value.is_boolean(),
            Self::Any => true,
            Self::Object(_) => value.is_object(),
            Self::Array(_) => value.is_array(),
        }
    }
}

impl Member {
    /// A member that is always there.
    pub(super) const fn new(name: &'static str, of: Type) -> Self {
        Self { name, of, optional: false }
    }

    /// A member that may be left out.
    pub(super) const fn optional(name: &'static str, of: Type) -> Self {
        Self { name, of, optional: true }
    }
}
