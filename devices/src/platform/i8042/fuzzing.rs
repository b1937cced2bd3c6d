//! Fuzzes register accesses and keys.

use std::sync::{Arc, Mutex, PoisonError};

use super::I8042;
use crate::{
    bus::{BusDevice, Effect},
    input::{Key, Keys},
    irq::Line,
};

/// Accesses and keys of two bytes each: the action, and a value.
pub fn i8042(data: &[u8]) {
    let mut line = Arc::new(Level::default());
    let mut controller = I8042::new(line.clone());
    for &[what, value] in data.as_chunks::<2>().0 {
        match what % 6 {
            0 => controller.key(Key(value), true),
            1 => controller.key(Key(value), false),
            write @ (2 | 3) => {
                let offset = if write == 2 { 0 } else { 4 };
                // A reset makes a new machine, including its lines.
                if controller.write(offset, &[value]) == Effect::Reset {
                    line = Arc::new(Level::default());
                    controller = I8042::new(line.clone());
                }
            }
            4 => controller.read(0, &mut [0]),
            _ => controller.read(value.into(), &mut [0; 4]),
        }
        let mut status = [0];
        controller.read(4, &mut status);
        let is_high = *line.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!is_high || status[0] & 1 != 0, "it interrupts for nothing");
    }
    // All waiting bytes can be read. Enable the keyboard first.
    assert_eq!(controller.write(4, &[0xae]), Effect::None);
    let mut waits = 0;
    let mut status = [0];
    loop {
        controller.read(4, &mut status);
        if status[0] & 1 == 0 {
            break;
        }
        controller.read(0, &mut [0]);
        waits += 1;
        // The buffers of both, and late releases of all keys, each at most six bytes long.
        assert!(waits < 20 + 6 * 256, "there is no end");
    }
}

/// A line that remembers its level.
#[derive(Debug, Default)]
struct Level(Mutex<bool>);

impl Line for Level {
    fn set(&self, high: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = high;
    }
}
