//! The arguments of `input-send-event`.

use super::{
    arguments::{Argument, Arguments},
    types::{Member, Type},
};
use crate::{
    input_event::{InputEvent, InputEvents},
    questions::Refusal,
};

const KINDS: &[&str] = &["key", "btn", "rel", "abs"];

pub(super) const ARGUMENTS: &[Argument] = &[
    Argument::optional("device", Type::String, "QEMU's; nvmm has one screen, which it is about"),
    Argument::optional("head", Type::Uint64, "the same"),
    Argument::new(
        "events",
        Type::Array(&Type::Object(&[Member::new("type", Type::Enum(KINDS)), Member::new("data", Type::Any)])),
        "the events, in order: [{\"type\": \"abs\", \"data\": {\"axis\": \"x\", \"value\": 16384}}]",
    ),
];

/// The requested events.
///
/// # Errors
///
/// An event that neither keyboard nor tablet has.
pub(super) fn input_events(arguments: &mut Arguments) -> Result<InputEvents, Refusal> {
    let events: Vec<InputEvent> = arguments.need("events")?;
    InputEvents::new(&events).map_err(|error| Refusal(error.to_string()))
}

#[cfg(test)]
#[path = "input_event_test.rs"]
mod tests;
