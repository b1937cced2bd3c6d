//! A viewer's keys and pointer, translated for the guest.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use devices::input::{Input, Key, POINTER_MAX, Pointer};

use super::keysyms::{self, CAPS_LOCK, SHIFT_LEFT, SHIFT_RIGHT, Typed};

/// The buttons that the guest can have.
const BUTTONS: u8 = 0x1f;

/// The keyboard and the pointer of one viewer. When it is dropped, it releases everything that is held.
///
/// A viewer without QEMU's extended key events sends characters of any layout. The guest is assumed to have the US layout: if a character
/// needs the opposite state of Shift, Shift is pressed or released for it.
#[derive(Debug)]
pub(super) struct Keyboard {
    input: Arc<dyn Input>,
    /// The state of the guest's Caps Lock, counting only the viewers' presses.
    caps_lock: Arc<AtomicBool>,
    /// The keys that are held, each with its keysym, if it was pressed by one.
    held: BTreeMap<Key, Option<u32>>,
    pointer: Pointer,
}

impl Keyboard {
    /// A keyboard with no key held.
    pub(super) fn new(input: Arc<dyn Input>, caps_lock: Arc<AtomicBool>) -> Self {
        Self { input, caps_lock, held: BTreeMap::new(), pointer: Pointer::default() }
    }

    /// Presses or releases a key by its scancode. An invalid code is ignored.
    pub(super) fn code(&mut self, code: u32, pressed: bool) {
        if let Ok(code @ 1..) = u8::try_from(code) {
            self.key(Key(code), pressed, None);
        }
    }

    /// Presses or releases a key by its character. A character that is on no key is ignored.
    pub(super) fn keysym(&mut self, keysym: u32, pressed: bool) {
        if !pressed {
            return self.let_go(keysym);
        }
        let (key, shift) = match keysyms::typed(keysym) {
            None => return,
            Some(Typed::Key(key)) => return self.key(key, true, Some(keysym)),
            Some(Typed::Shifted(key, shift)) => (key, shift),
            Some(Typed::Letter(key, capital)) => (key, capital != self.caps_lock.load(Ordering::Relaxed)),
        };
        let shifts: Vec<_> =
            [SHIFT_LEFT, SHIFT_RIGHT].into_iter().filter(|shift| self.held.contains_key(shift)).collect();
        match (shift, shifts.is_empty()) {
            (true, true) => {
                self.input.key(SHIFT_LEFT, true);
                self.key(key, true, Some(keysym));
                self.input.key(SHIFT_LEFT, false);
            }
            (false, false) => {
                shifts.iter().for_each(|shift| self.input.key(*shift, false));
                self.key(key, true, Some(keysym));
                shifts.iter().for_each(|shift| self.input.key(*shift, true));
            }
            _ => self.key(key, true, Some(keysym)),
        }
    }

    /// Moves the pointer within a picture of `size`, and sets its buttons.
    pub(super) fn pointer(&mut self, buttons: u8, (x, y): (u16, u16), (width, height): (u16, u16)) {
        let scaled = |at: u16, len: u16| {
            let last = u32::from(len.saturating_sub(1).max(1));
            let scaled = u32::from(at).min(last) * u32::from(POINTER_MAX) / last;
            u16::try_from(scaled).unwrap_or(POINTER_MAX)
        };
        self.pointer = Pointer { x: scaled(x, width), y: scaled(y, height), buttons: buttons & BUTTONS };
        self.input.pointer(self.pointer);
    }

    /// Releases the key that was pressed by a keysym. If Shift or the layout has changed since, the keysym at release differs: then this is
    /// the only key held with a character.
    fn let_go(&mut self, keysym: u32) {
        let same = |(key, by): (&Key, &Option<u32>)| (*by == Some(keysym)).then_some(*key);
        let by_place = keysyms::typed(keysym)
            .map(|(Typed::Key(key) | Typed::Shifted(key, _) | Typed::Letter(key, _))| key);
        let with_character =
            |by: &u32| matches!(keysyms::typed(*by), Some(Typed::Shifted(..) | Typed::Letter(..)));
        let key =
            self.held.iter().find_map(same).or_else(|| by_place.filter(|key| self.held.contains_key(key)));
        let key = key.or_else(|| {
            let mut others = self.held.iter().filter(|(_, by)| by.as_ref().is_some_and(with_character));
            others
                .next()
                .filter(|_| with_character(&keysym))
                .map(|(key, _)| *key)
                .filter(|_| others.next().is_none())
        });
        if let Some(key) = key {
            self.key(key, false, None);
        }
    }

    /// Presses a key, again if it is held already, or releases it if it is held.
    fn key(&mut self, key: Key, pressed: bool, keysym: Option<u32>) {
        let changed = match pressed {
            true => self.held.insert(key, keysym).is_none(),
            false => self.held.remove(&key).is_some(),
        };
        if pressed && changed && key == CAPS_LOCK {
            self.caps_lock.fetch_xor(true, Ordering::Relaxed);
        }
        if pressed || changed {
            self.input.key(key, pressed);
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.held.keys().for_each(|key| self.input.key(*key, false));
        if self.pointer.buttons != 0 {
            self.input.pointer(Pointer { buttons: 0, ..self.pointer });
        }
    }
}

#[cfg(test)]
#[path = "keyboard_test.rs"]
mod tests;
