//! Where the tables of an image are that its references and refcounts are in.
//!
//! Names are those of QEMU's `docs/interop/qcow2.txt`.

use std::{
    fs::File,
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::FileExt,
};

use zerocopy::FromBytes;

use super::super::guard::{Fields, MoreFields};

/// The length of an entry of the L1 table and of the refcount table.
const ENTRY: u64 = 8;
/// The `refcount_order` of version 2.
const V2_REFCOUNT_ORDER: u32 = 4;

/// Where the L1 table and the refcount table are, and what it takes to find a refcount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) cluster_bits: u32,
    refcount_order: u32,
    pub(super) l1: Range<u64>,
    pub(super) refcounts: Range<u64>,
}

/// Where the refcount of a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refcount {
    pub(super) bytes: Range<u64>,
    /// Its bits in the last of them.
    mask: u8,
}

impl Tables {
    /// The part of the header that says where they are.
    pub(super) const HEADER_LEN: u64 = size_of::<Fields>() as u64;

    /// Reads the header, which was found to be a good one.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut header = [0; size_of::<Fields>() + size_of::<MoreFields>()];
        read_at(file, &mut header, 0)?;
        let (fields, more) = Fields::read_from_prefix(&header).map_err(|_| ErrorKind::InvalidData)?;
        let (more, _) = MoreFields::read_from_prefix(more).map_err(|_| ErrorKind::InvalidData)?;
        let refcount_order =
            if fields.version.get() == 2 { V2_REFCOUNT_ORDER } else { more.refcount_order.get() };
        Ok(Self::new(&fields, refcount_order))
    }

    fn new(fields: &Fields, refcount_order: u32) -> Self {
        let cluster_bits = fields.cluster_bits.get();
        let (l1, refcounts) = (fields.l1_table_offset.get(), fields.refcount_table_offset.get());
        let refcounts_len = u64::from(fields.refcount_table_clusters.get()) << cluster_bits;
        Self {
            cluster_bits,
            refcount_order,
            l1: l1..l1.saturating_add(u64::from(fields.l1_size.get()) * ENTRY),
            refcounts: refcounts..refcounts.saturating_add(refcounts_len),
        }
    }

    /// Where they are once `bytes` are at `offset`.
    pub(super) fn after(&self, bytes: &[u8], offset: u64) -> Self {
        match Fields::read_from_prefix(bytes) {
            Ok((fields, _)) if offset == 0 => Self::new(&fields, self.refcount_order),
            _ => self.clone(),
        }
    }

    /// The entries of both tables that lie in `range`, by their places.
    pub(super) fn entries(&self, range: &Range<u64>) -> impl Iterator<Item = u64> + use<> {
        let within = |table: &Range<u64>| {
            let start = range.start.max(table.start).next_multiple_of(ENTRY);
            let end = range.end.min(table.end);
            (start..end.max(start)).step_by(8).filter(move |at| at + ENTRY <= end)
        };
        within(&self.l1).chain(within(&self.refcounts))
    }

    /// Where the refcount table says in which refcount block the refcount of `cluster` is, and which it is there.
    pub(super) fn refcount_of(&self, cluster: u64) -> (u64, u64) {
        let index = cluster >> self.cluster_bits;
        // A block is a cluster of bits.
        let bits = self.cluster_bits + 3 - self.refcount_order;
        (self.refcounts.start.saturating_add((index >> bits) * ENTRY), index & ((1 << bits) - 1))
    }

    /// The refcount of that index in the block at `block`.
    pub(super) fn refcount(&self, block: u64, index: u64) -> Refcount {
        // The first ones of a byte are in its low bits.
        let (bit, width) = (index << self.refcount_order, 1_u64 << self.refcount_order);
        let start = block + bit / 8;
        let mask = if width < 8 { ((1_u8 << width) - 1) << (bit % 8) } else { u8::MAX };
        Refcount { bytes: start..start + width.div_ceil(8), mask }
    }
}

impl Refcount {
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.bytes.end - self.bytes.start).unwrap_or(1)
    }

    /// Whether nothing refers to the cluster, by `bytes` of the file.
    pub(super) fn is_zero(&self, bytes: &[u8]) -> bool {
        match bytes {
            [byte] => byte & self.mask == 0,
            bytes => bytes.iter().all(|byte| *byte == 0),
        }
    }

    /// Makes it 1, where it is 0.
    pub(super) fn set(&self, bytes: &mut [u8]) {
        if let Some(last) = bytes.last_mut() {
            // The lowest bit.
            *last |= self.mask & self.mask.wrapping_neg();
        }
    }
}

/// Fills `bytes` with what is at `offset`: zeros, past the end.
pub(super) fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, offset) {
            Ok(0) => {
                bytes.fill(0);
                break;
            }
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tables_test.rs"]
mod tests;
