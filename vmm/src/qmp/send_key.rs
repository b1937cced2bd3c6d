//! The arguments of `send-key`.

use super::{
    arguments::{Argument, Arguments},
    types::{Member, Type},
};
use crate::{qcode::KeyValue, questions::Refusal, send_key::SendKey};

pub(super) const ARGUMENTS: &[Argument] = &[
    Argument::new(
        "keys",
        Type::Array(&Type::Object(&[
            Member::new("type", Type::Enum(&["number", "qcode"])),
            Member::new("data", Type::Any),
        ])),
        "the keys, which are pressed together: [{\"type\": \"qcode\", \"data\": \"ret\"}]",
    ),
    Argument::optional("hold-time", Type::Uint64, "for how many milliseconds; without it, 100"),
];

/// The requested keys.
///
/// # Errors
///
/// There is no such key, or they would be held for too long.
pub(super) fn send_key(arguments: &mut Arguments) -> Result<SendKey, Refusal> {
    let keys: Vec<KeyValue> = arguments.need("keys")?;
    SendKey::new(&keys, arguments.take("hold-time")?).map_err(|error| Refusal(error.to_string()))
}

#[cfg(test)]
#[path = "send_key_test.rs"]
mod tests;
