//! Keys and pointers: what a person does, on the way to the devices that tell the guest.

mod hub;
mod typist;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

pub use self::{
    hub::Hub,
    typist::{Typist, TypistError},
};

/// A key by its place on the keyboard: the code of set 1, with bit 7 for those after a prefix of E0H, as QEMU's extended key events of VNC
/// have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u8);

/// The greatest coordinate of a [`Pointer`], at the right or lower edge of the screen.
pub const POINTER_MAX: u16 = 0x7fff;

/// The place of a pointer on the screen, and the buttons that are pressed.
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
    /// A step of the wheel, away from the person.
    pub const WHEEL_UP: u8 = 1 << 3;
    /// A step towards the person.
    pub const WHEEL_DOWN: u8 = 1 << 4;
}

/// A device with keys.
pub trait Keys: Send + Debug {
    /// Presses a key, or lets it go.
    fn key(&mut self, key: Key, pressed: bool);
}

/// A device with a pointer.
pub trait Pointing: Send + Sync + Debug {
    /// Moves the pointer, and presses its buttons. Never blocks.
    fn pointer(&self, pointer: Pointer);
}

/// The devices by which a guest hears of keys and pointers.
pub trait Input: Send + Sync + Debug {
    /// Presses a key, or lets it go. Never blocks: a key is dropped if the guest has not read those before it.
    fn key(&self, key: Key, pressed: bool);

    /// Moves the pointer, and presses its buttons. Never blocks. A machine without a pointer ignores it.
    fn pointer(&self, pointer: Pointer);
}
