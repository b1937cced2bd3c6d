//! Inputs that are JSON, which stay that: libFuzzer changes bytes, most of which are digits and quotes.

use serde_json::Value;

use crate::damage::{change, places};

/// One of so many inputs is changed in any of its bytes.
const BYTES: u32 = 16;

/// Changes an input, up to a few of its values. Returns its new length.
pub fn mutate(data: &mut [u8], len: usize, most: usize, seed: u32) -> usize {
    if !seed.is_multiple_of(BYTES)
        && let Ok(mut value) = serde_json::from_slice::<Value>(&data[..len])
    {
        let mut random = Random(seed.into());
        for _ in 0..=random.next() % 4 {
            let places = places(&value);
            let place = usize::try_from(random.next()).unwrap_or_default() % places.len().max(1);
            if let Some(value) = places.get(place).and_then(|place| value.pointer_mut(place)) {
                change(value, random.next());
            }
        }
        let text = value.to_string();
        if text.len() <= most {
            data[..text.len()].copy_from_slice(text.as_bytes());
            return text.len();
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, len, most)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
