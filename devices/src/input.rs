//! Keys and pointers: a person's input, on its way to the devices that pass it to the guest.

mod hub;
mod typist;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

pub use self::{
    hub::Hub,
    typist::{Typist, TypistError},
};

/// A key, identified by its place on the keyboard: its code in set 1, with bit 7 set for codes after a prefix of E0H, as in QEMU's extended
/// key events of VNC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u8);

/// The greatest coordinate of a [`Pointer`], at the right or lower edge of the screen.
pub const POINTER_MAX: u16 = 0x7fff;

/// The position of a pointer on the screen, and the pressed buttons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// From 0, the left edge, to [`POINTER_MAX`].
    pub x: u16,
    /// From 0, the upper edge, to [`POINTER_MAX`].
    pub y: u16,
    /// Bit 0 is the left button, 1 the middle one, 2 the right one; 3 and 4 are the wheel, up and down.
    pub buttons: u8,
}

impl Pointer {
    /// The left button.
    pub const LEFT: u8 = 1 << 0;
    /// The middle button.
    pub const MIDDLE: u8 = 1 << 1;
    /// The right button.
    pub const RIGHT: u8 = 1 << 2;
    /// One step of the wheel, away from the person.
    pub const WHEEL_UP: u8 = 1 << 3;
    /// One step of the wheel, towards the person.
    pub const WHEEL_DOWN: u8 = 1 << 4;
}

/// A device with keys.
pub trait Keys: Send + Debug {
    /// Presses or releases a key.
    fn key(&mut self, key: Key, pressed: bool);
}

/// A device with a pointer.
pub trait Pointing: Send + Sync + Debug {
    /// Moves the pointer, and presses its buttons. Never blocks.
    fn pointer(&self, pointer: Pointer);
}

/// The devices through which a guest gets keys and pointers.
pub trait Input: Send + Sync + Debug {
    /// Presses or releases a key. Never blocks: a key is dropped if the guest has not read those before it.
    fn key(&self, key: Key, pressed: bool);

    /// Moves the pointer, and presses its buttons. Never blocks. A machine without a pointer ignores it.
    fn pointer(&self, pointer: Pointer);
}
