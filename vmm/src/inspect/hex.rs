//! 64-bit numbers in JSON as text such as `0x1f`: many JSON parsers keep only 53 bits, and people read addresses in this form.

use serde::Serializer;

/// Serializes a number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn number<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:#x}"))
}

/// Serializes a number that may be missing.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn option<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => number(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Formats a number.
pub(super) fn text(number: impl Into<u64>) -> String {
    format!("{:#x}", number.into())
}
