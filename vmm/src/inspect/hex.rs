//! Numbers of 64 bits in JSON, as text such as `0x1f`: many readers of JSON keep 53 bits, and people read addresses so.

use serde::Serializer;

/// A number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn number<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:#x}"))
}

/// A number that may not be there.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn option<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => number(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// The text of a number.
pub(super) fn text(number: impl Into<u64>) -> String {
    format!("{:#x}", number.into())
}
