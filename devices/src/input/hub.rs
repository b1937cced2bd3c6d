//! The one place for a person's input, which passes it on to the current machine.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Input, Key, Keys, Pointer, Pointing};

/// The devices for keys and pointers. It outlives the machine's resets: the next machine's devices replace those before.
#[derive(Debug, Default)]
pub struct Hub {
    keyboard: Mutex<Option<Weak<Mutex<dyn Keys>>>>,
    tablet: Mutex<Option<Weak<dyn Pointing>>>,
    /// The last state of the pointer.
    last: Mutex<Pointer>,
}

impl Hub {
    /// Sends keys to this keyboard, as long as it exists.
    pub fn plug_keyboard(&self, keyboard: &Arc<Mutex<dyn Keys>>) {
        *self.keyboard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(keyboard));
    }

    /// Sends the pointer to this tablet, as long as it exists.
    pub fn plug_tablet(&self, tablet: &Arc<dyn Pointing>) {
        *self.tablet.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(tablet));
    }

    /// The last state of the pointer, for callers that change a part of it.
    #[must_use]
    pub fn last_pointer(&self) -> Pointer {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Input for Hub {
    fn key(&self, key: Key, pressed: bool) {
        let plugged = self.keyboard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(keyboard) = plugged.and_then(|keyboard| keyboard.upgrade()) {
            keyboard.lock().unwrap_or_else(PoisonError::into_inner).key(key, pressed);
        }
    }

    fn pointer(&self, pointer: Pointer) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = pointer;
        let plugged = self.tablet.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(tablet) = plugged.and_then(|tablet| tablet.upgrade()) {
            tablet.pointer(pointer);
        }
    }
}

#[cfg(test)]
#[path = "hub_test.rs"]
mod tests;
