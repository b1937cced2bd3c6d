//! Refcounts of clusters: QEMU's `docs/interop/qcow2.txt`, "Host cluster management".

use std::ops::Range;

/// The place of a refcount in a refcount block.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    pub(super) bytes: Range<usize>,
    /// The refcount's bits in each of its bytes.
    mask: u8,
    /// The refcount 1, in the last of its bytes.
    one: u8,
}

impl Counter {
    /// The refcount with that index, of two to the power of `order` bits.
    pub(super) fn new(index: u64, order: u32) -> Self {
        let bit = index << order;
        let start = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        match order {
            0..3 => {
                let (shift, bits) = (bit % 8, 1_u32 << order);
                Self { bytes: start..start + 1, mask: ((1 << bits) - 1) << shift, one: 1 << shift }
            }
            _ => Self { bytes: start..start + (1 << (order - 3)), mask: u8::MAX, one: 1 },
        }
    }

    /// Returns whether the cluster is free.
    pub(super) fn is_zero(&self, block: &[u8]) -> bool {
        block.get(self.bytes.clone()).unwrap_or_default().iter().all(|byte| byte & self.mask == 0)
    }

    /// Sets the refcount to 1. It must be 0 before.
    pub(super) fn set_to_one(&self, block: &mut [u8]) {
        if let Some(last) = block.get_mut(self.bytes.clone()).and_then(<[u8]>::last_mut) {
            *last |= self.one;
        }
    }
}

#[cfg(test)]
#[path = "counter_test.rs"]
mod tests;
