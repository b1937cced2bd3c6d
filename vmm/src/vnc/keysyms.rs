//! Keys by their characters: the keysyms of X11's `keysymdef.h`, on a US keyboard.

use devices::input::Key;

/// The left Shift.
pub(super) const SHIFT_LEFT: Key = Key(0x2a);
/// The right Shift.
pub(super) const SHIFT_RIGHT: Key = Key(0x36);
/// Caps Lock.
pub(super) const CAPS_LOCK: Key = Key(0x3a);

/// The way to type a keysym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// By a key alone, with or without Shift.
    Key(Key),
    /// By a key whose character depends on Shift; true if Shift must be pressed.
    Shifted(Key, bool),
    /// By a letter's key, which Caps Lock also affects; true for a capital letter.
    Letter(Key, bool),
}

/// The rows of keys with characters: the scancode of the first key, the characters, and the characters with Shift.
const ROWS: [(u8, &[u8], &[u8]); 6] = [
    (0x02, b"1234567890-=", b"!@#$%^&*()_+"),
    (0x10, b"qwertyuiop[]", b"QWERTYUIOP{}"),
    (0x1e, b"asdfghjkl;'`", b"ASDFGHJKL:\"~"),
    (0x2b, b"\\", b"|"),
    (0x2c, b"zxcvbnm,./", b"ZXCVBNM<>?"),
    (0x39, b" ", b" "),
];

/// Runs of keys without characters: the first keysym, and the scancodes from there on. 0 means no key.
const RUNS: &[(u32, &[u8])] = &[
    // BackSpace, Tab, Linefeed, Clear.
    (0xff08, &[0x0e, 0x0f, 0x1c, 0x4c]),
    // Return.
    (0xff0d, &[0x1c]),
    // Pause, Scroll_Lock, Sys_Req.
    (0xff13, &[0xc6, 0x46, 0x54]),
    // Escape.
    (0xff1b, &[0x01]),
    // Home, Left, Up, Right, Down, Page_Up, Page_Down, End.
    (0xff50, &[0xc7, 0xcb, 0xc8, 0xcd, 0xd0, 0xc9, 0xd1, 0xcf]),
    // Print.
    (0xff61, &[0xb7]),
    // Insert.
    (0xff63, &[0xd2]),
    // Menu.
    (0xff67, &[0xdd]),
    // Break.
    (0xff6b, &[0xc6]),
    // Num_Lock.
    (0xff7f, &[0x45]),
    // KP_Enter.
    (0xff8d, &[0x9c]),
    // KP_Home, KP_Left, KP_Up, KP_Right, KP_Down, KP_Page_Up, KP_Page_Down, KP_End, KP_Begin, KP_Insert, KP_Delete.
    (0xff95, &[0x47, 0x4b, 0x48, 0x4d, 0x50, 0x49, 0x51, 0x4f, 0x4c, 0x52, 0x53]),
    // KP_Multiply, KP_Add, KP_Separator, KP_Subtract, KP_Decimal, KP_Divide.
    (0xffaa, &[0x37, 0x4e, 0x53, 0x4a, 0x53, 0xb5]),
    // KP_0 to KP_9.
    (0xffb0, &[0x52, 0x4f, 0x50, 0x51, 0x4b, 0x4c, 0x4d, 0x47, 0x48, 0x49]),
    // F1 to F12.
    (0xffbe, &[0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x57, 0x58]),
    // Shift_L, Shift_R, Control_L, Control_R, Caps_Lock.
    (0xffe1, &[0x2a, 0x36, 0x1d, 0x9d, 0x3a]),
    // Meta_L, Meta_R, Alt_L, Alt_R, Super_L, Super_R.
    (0xffe7, &[0x38, 0xb8, 0x38, 0xb8, 0xdb, 0xdc]),
    // Delete.
    (0xffff, &[0xd3]),
    // ISO_Left_Tab: Tab with Shift, which is already pressed.
    (0xfe20, &[0x0f]),
];

/// The way to type `keysym`; none if this keyboard doesn't have it. `ISO_Level3_Shift` is not included: the characters that a viewer types
/// with it arrive as keysyms of their own.
pub(super) fn typed(keysym: u32) -> Option<Typed> {
    if let Some(character) = u8::try_from(keysym).ok().filter(|byte| (b' '..=b'~').contains(byte)) {
        return character_key(character);
    }
    RUNS.iter().find_map(|&(first, codes)| {
        let at = usize::try_from(keysym.checked_sub(first)?).ok()?;
        codes.get(at).map(|code| Typed::Key(Key(*code)))
    })
}

fn character_key(character: u8) -> Option<Typed> {
    ROWS.iter().find_map(|&(first, plain, shifted)| {
        let find = |row: &[u8]| row.iter().position(|it| *it == character);
        let (at, shift) = find(plain).map(|at| (at, false)).or_else(|| Some((find(shifted)?, true)))?;
        let key = Key(first + u8::try_from(at).ok()?);
        Some(match character {
            b' ' => Typed::Key(key),
            character if character.is_ascii_alphabetic() => Typed::Letter(key, shift),
            _ => Typed::Shifted(key, shift),
        })
    })
}

#[cfg(test)]
#[path = "keysyms_test.rs"]
mod tests;
