//! Fuzzes accesses, and compares the contents with a model.

use std::sync::{Arc, Mutex, PoisonError};

use vm_memory::VolatileSlice;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned, little_endian::U16};

use super::{BLOCK, Flash, Store};
use crate::{
    bus::{BusDevice, Effect},
    chipset::Rom,
};

const LEN: usize = 2 * BLOCK;

/// An access in a few bytes.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Access {
    /// Bit 0: it is a read. The next three bits: its width, less one.
    what: u8,
    /// The first byte to write; each further byte is one more.
    value: u8,
    /// Some are past the end.
    offset: U16,
}

/// A store that keeps the last contents.
#[derive(Debug, Default)]
struct Last(Mutex<Option<Vec<u8>>>);

impl Store for Last {
    fn save(&self, contents: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(contents);
    }
}

/// Makes the accesses in `data`.
pub fn flash(data: &[u8]) {
    let mut expected = vec![0x5a; LEN];
    let store = Arc::new(Last::default());
    let saved = || store.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut device = Flash::new(Arc::new(Rom::new(&expected).expect("a few pages")), store.clone());
    // The command that expects a second write next.
    let mut started = None;
    let (mut shows, mut dirty) = (true, false);
    let mut rest = data;
    for _ in 0..4096 {
        let Ok((Access { what, value, offset }, behind)) = Access::read_from_prefix(rest) else { break };
        rest = behind;
        let width = usize::from(what >> 1 & 7) + 1;
        let offset = usize::from(offset.get() % 0x2100);
        let part = offset..offset + width;
        if what & 1 != 0 {
            let mut found = [0x77; 8];
            device.read(offset as u64, &mut found[..width]);
            match expected.get(part) {
                Some(there) if shows => assert_eq!(&found[..width], there),
                None if shows => assert_eq!(found[..width], [0xff; 8][..width]),
                _ => {}
            }
            continue;
        }
        let bytes: Vec<u8> = (0..8).map(|at| value.wrapping_add(at)).take(width).collect();
        let effect = device.write(offset as u64, &bytes);
        let showed = shows;
        (started, shows) = match started {
            Some(0x20) if value == 0xd0 => {
                let block = offset / BLOCK * BLOCK;
                if let Some(block) = expected.get_mut(block..block + BLOCK) {
                    block.fill(0xff);
                    dirty = true;
                }
                (None, false)
            }
            Some(0x20) => (None, true),
            Some(_) => {
                if let Some(there) = expected.get_mut(part) {
                    there.copy_from_slice(&bytes);
                    dirty = true;
                }
                (None, false)
            }
            None if matches!(value, 0x10 | 0x20 | 0x40) => (Some(value), false),
            None => (None, value != 0x70),
        };
        assert_eq!(effect, if showed == shows { Effect::None } else { Effect::Decode });
        assert_eq!(device.mapped().is_some(), shows);
        let save = dirty && shows;
        assert!(saved() == save.then(|| expected.clone()));
        dirty &= !save;
    }
    let chip = Arc::clone(&device.chip);
    assert!(everything(&chip.as_volatile_slice()) == expected);
    drop(device);
    assert!(saved() == dirty.then_some(expected));
}

fn everything(chip: &VolatileSlice<'_>) -> Vec<u8> {
    let mut bytes = vec![0; chip.len()];
    chip.copy_to(&mut bytes[..]);
    bytes
}
