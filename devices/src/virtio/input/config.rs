//! A tablet's description, which its driver reads in pieces: virtio 1.3, "Input Device", "Device configuration layout".

use serde::{Deserialize, Serialize};

use super::report::{ABS_X, ABS_Y, BTN_LEFT, BTN_MIDDLE, BTN_RIGHT, EV_ABS, EV_KEY, EV_REL, REL_WHEEL};
use crate::input::POINTER_MAX;

/// `enum virtio_input_config_select`, as far as there are pieces.
const ID_NAME: u8 = 0x01;
const ID_DEVIDS: u8 = 0x03;
const EV_BITS: u8 = 0x11;
const ABS_INFO: u8 = 0x12;

/// QEMU's name and numbers, by which guests may recognize the tablet of a virtual machine.
const NAME: &[u8] = b"QEMU Virtio Tablet";
/// `BUS_VIRTUAL` of Linux, the vendor, the product, and its version: one with a wheel.
const IDS: [u16; 4] = [0x06, 0x0627, 0x0003, 0x0002];

/// `struct virtio_input_config`: the offsets of its fields. Bytes between them and the payload are reserved.
const SELECT: usize = 0;
const SUBSEL: usize = 1;
const SIZE: usize = 2;
const PAYLOAD: usize = 8;
const MOST: usize = 128;

/// The piece that the driver has selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Select {
    select: u8,
    subsel: u8,
}

impl Select {
    /// Writes the fields that a driver may write; other bytes are ignored.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        for (place, field) in [(0_u64, &mut self.select), (1, &mut self.subsel)] {
            let at = place.checked_sub(offset).and_then(|at| usize::try_from(at).ok());
            if let Some(&byte) = at.and_then(|at| data.get(at)) {
                *field = byte;
            }
        }
    }

    /// The configuration with the selected piece. Its size is 0 if there is no such piece.
    pub(super) fn config(self) -> [u8; PAYLOAD + MOST] {
        let mut config = [0; PAYLOAD + MOST];
        (config[SELECT], config[SUBSEL]) = (self.select, self.subsel);
        let payload = self.payload();
        // It always fits.
        let size = u8::try_from(payload.len()).unwrap_or_default();
        config[SIZE] = size;
        for (at, byte) in config[PAYLOAD..].iter_mut().zip(payload) {
            *at = byte;
        }
        config
    }

    fn payload(self) -> Vec<u8> {
        match (self.select, u16::from(self.subsel)) {
            (ID_NAME, 0) => NAME.to_vec(),
            (ID_DEVIDS, 0) => IDS.into_iter().flat_map(u16::to_le_bytes).collect(),
            (EV_BITS, EV_KEY) => bitmap(&[BTN_LEFT, BTN_RIGHT, BTN_MIDDLE]),
            (EV_BITS, EV_REL) => bitmap(&[REL_WHEEL]),
            (EV_BITS, EV_ABS) => bitmap(&[ABS_X, ABS_Y]),
            // `struct virtio_input_absinfo`: least, most, fuzz, flat and resolution.
            (ABS_INFO, ABS_X | ABS_Y) => {
                [0, u32::from(POINTER_MAX), 0, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A bitmap with these bits set, as short as possible.
fn bitmap(numbers: &[u16]) -> Vec<u8> {
    let mut bits = Vec::new();
    for &number in numbers {
        let at = usize::from(number / 8);
        bits.resize(bits.len().max(at + 1), 0);
        bits[at] |= 1 << (number % 8);
    }
    bits
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
