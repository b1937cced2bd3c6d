//! The one place to which all that a person does comes, whichever machine is built now.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Input, Key, Keys, Pointer};

/// The devices that hear of keys and pointers. It outlives the machine's resets: those of the next machine take the places of those
/// before.
#[derive(Debug, Default)]
pub struct Hub {
    keyboard: Mutex<Option<Weak<Mutex<dyn Keys>>>>,
}

impl Hub {
    /// Has keys go to this keyboard, as long as it is there.
    pub fn plug_keyboard(&self, keyboard: &Arc<Mutex<dyn Keys>>) {
        *self.keyboard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(keyboard));
    }
}

impl Input for Hub {
    fn key(&self, key: Key, pressed: bool) {
        let plugged = self.keyboard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(keyboard) = plugged.and_then(|keyboard| keyboard.upgrade()) {
            keyboard.lock().unwrap_or_else(PoisonError::into_inner).key(key, pressed);
        }
    }

    fn pointer(&self, _pointer: Pointer) {}
}

#[cfg(test)]
#[path = "hub_test.rs"]
mod tests;
