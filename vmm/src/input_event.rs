//! `input-send-event`: single key and pointer events from a program.

use devices::input::{Hub, Input, Key, POINTER_MAX, Pointer};
use serde::Deserialize;
use thiserror::Error;

use crate::qcode::{KeyError, KeyValue};

/// QEMU's `InputEvent`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum InputEvent {
    /// A key is pressed or released.
    Key { key: KeyValue, down: bool },
    /// A button of the pointer is pressed or released.
    Btn { button: Button, down: bool },
    /// The pointer moves by a distance.
    Rel(Move),
    /// The pointer moves to a position.
    Abs(Move),
}

/// QEMU's `InputMoveEvent`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    axis: Axis,
    value: i64,
}

/// QEMU's `InputButton`, as far as a tablet has them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Button {
    Left,
    Middle,
    Right,
    WheelUp,
    WheelDown,
}

/// QEMU's `InputAxis`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Axis {
    X,
    Y,
}

/// Reasons why an event can't be sent.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum InputEventError {
    /// There is no such key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The event is for a mouse.
    #[error(
        "the pointer can't go by {0}: nvmm has a tablet and no mouse; give the place by an event of type abs"
    )]
    Relative(i64),
    /// The position is off the screen.
    #[error("the pointer can't be at {0}: give 0 to {POINTER_MAX}, which are the edges of the screen")]
    Place(i64),
    /// The machine has neither a keyboard nor a tablet.
    #[error("the machine has neither keyboard nor tablet; start it with --display vga")]
    NoScreen,
}

/// Events in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputEvents(Vec<Step>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Key(Key, bool),
    /// A button, by its bit, and whether it is pressed.
    Button(u8, bool),
    X(u16),
    Y(u16),
}

impl Button {
    fn bit(self) -> u8 {
        match self {
            Self::Left => Pointer::LEFT,
            Self::Middle => Pointer::MIDDLE,
            Self::Right => Pointer::RIGHT,
            Self::WheelUp => Pointer::WHEEL_UP,
            Self::WheelDown => Pointer::WHEEL_DOWN,
        }
    }
}

impl InputEvents {
    /// Converts events to those of the keyboard and the tablet.
    ///
    /// # Errors
    ///
    /// An event is invalid.
    pub(crate) fn new(events: &[InputEvent]) -> Result<Self, InputEventError> {
        let step = |event: &InputEvent| match event {
            InputEvent::Key { key, down } => Ok(Step::Key(key.key()?, *down)),
            InputEvent::Btn { button, down } => Ok(Step::Button(button.bit(), *down)),
            InputEvent::Rel(Move { value, .. }) => Err(InputEventError::Relative(*value)),
            InputEvent::Abs(Move { axis, value }) => {
                let place = u16::try_from(*value).ok().filter(|place| *place <= POINTER_MAX);
                let place = place.ok_or(InputEventError::Place(*value))?;
                Ok(match axis {
                    Axis::X => Step::X(place),
                    Axis::Y => Step::Y(place),
                })
            }
        };
        events.iter().map(step).collect::<Result<_, _>>().map(Self)
    }

    /// Sends the events to the guest. The pointer's position is sent together with the next button event, or at the end.
    ///
    /// # Errors
    ///
    /// The machine has neither a keyboard nor a tablet.
    pub(crate) fn send(&self, hub: Option<&Hub>) -> Result<(), InputEventError> {
        let hub = hub.ok_or(InputEventError::NoScreen)?;
        let (mut pointer, mut is_moved) = (hub.last_pointer(), false);
        for step in &self.0 {
            match *step {
                Step::Key(key, down) => hub.key(key, down),
                Step::X(x) => (pointer.x, is_moved) = (x, true),
                Step::Y(y) => (pointer.y, is_moved) = (y, true),
                Step::Button(bit, down) => {
                    pointer.buttons = if down { pointer.buttons | bit } else { pointer.buttons & !bit };
                    hub.pointer(pointer);
                    is_moved = false;
                }
            }
        }
        if is_moved {
            hub.pointer(pointer);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "input_event_test.rs"]
mod tests;
