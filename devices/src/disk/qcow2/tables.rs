//! The tables of an image that is written to: their places in the file, and the clusters that they name.
//!
//! QEMU's `docs/interop/qcow2.txt`, "Host cluster management" and "Cluster mapping", specifies them. There are two trees. The refcount
//! table names refcount blocks, which count the uses of each cluster of the file. The L1 table names L2 tables, which give the cluster of
//! the file for each cluster of the disk.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt,
};

use super::super::guard::Layout;

/// Length of an entry of any table, except for refcount blocks.
const ENTRY: u64 = 8;
/// The bits of an entry that hold an offset in the file.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The bit of an entry which means that nothing else names the same cluster.
const COPIED: u64 = 1 << 63;
/// The bit of an entry of an L2 table which means that the cluster is compressed, and the entry has another form.
const COMPRESSED: u64 = 1 << 62;

/// The facts of an image's tables.
#[derive(Debug)]
pub(super) struct Tables {
    layout: Layout,
    l1: Vec<u64>,
    refcount_table: Vec<u64>,
    /// The clusters that the two tables name.
    blocks: HashMap<u64, Block>,
    /// The clusters of the disk are in another file, which has no refcounts.
    has_data_file: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Mappings,
    Counts,
}

/// The kinds of blocks that a write touches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) header: bool,
    pub(super) l1: bool,
    pub(super) refcount_table: bool,
    /// Clusters that are L2 tables.
    pub(super) l2: Vec<u64>,
    /// Clusters that are refcount blocks.
    pub(super) refcounts: Vec<u64>,
}

impl Touched {
    /// Returns whether it touches no table, but data, or a table that nothing names yet.
    pub(super) fn is_data(&self) -> bool {
        *self == Self::default()
    }
}

impl Tables {
    /// Reads the tables of the image in `file`.
    pub(super) fn read(file: &File, layout: Layout, has_data_file: bool) -> io::Result<Self> {
        let l1 = read_entries(file, layout.l1_offset, layout.l1_entries.into())?;
        let entries = u64::from(layout.refcount_table_clusters) * layout.cluster_size() / ENTRY;
        let refcount_table = read_entries(file, layout.refcount_table_offset, entries)?;
        let mut tables = Self { layout, l1, refcount_table, blocks: HashMap::new(), has_data_file };
        let named = |entries: &[u64], block| {
            let clusters = entries.iter().filter_map(|&entry| tables.cluster(entry));
            clusters.map(|cluster| (cluster, block)).collect::<Vec<_>>()
        };
        let blocks =
            [named(&tables.l1, Block::Mappings), named(&tables.refcount_table, Block::Counts)].concat();
        tables.blocks = blocks.into_iter().collect();
        Ok(tables)
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns whether each part of a `range` of the disk has an L2 table that is not shared.
    pub(super) fn maps(&self, range: &Range<u64>) -> bool {
        let covered = self.layout.l2_covers();
        let indexes = range.start / covered..range.end.div_ceil(covered);
        indexes.into_iter().all(|index| {
            let entry = usize::try_from(index).ok().and_then(|index| self.l1.get(index));
            entry.is_some_and(|&entry| entry & COPIED != 0 && entry & OFFSET != 0)
        })
    }

    /// The blocks that a write of `len` bytes at `offset` touches.
    pub(super) fn touched(&self, offset: u64, len: u64) -> Touched {
        let range = offset..offset.saturating_add(len);
        let overlaps = |other: Range<u64>| range.start < other.end && other.start < range.end;
        let mut touched = Touched {
            header: overlaps(0..self.layout.cluster_size()),
            l1: overlaps(self.l1_range()),
            refcount_table: overlaps(self.refcount_table_range()),
            ..Touched::default()
        };
        for cluster in
            offset >> self.layout.cluster_bits..=range.end.saturating_sub(1) >> self.layout.cluster_bits
        {
            match self.blocks.get(&cluster) {
                Some(Block::Mappings) => touched.l2.push(cluster),
                Some(Block::Counts) => touched.refcounts.push(cluster),
                None => {}
            }
        }
        touched
    }

    /// The clusters that the tables name after `bytes` are written at `offset`, and may not have named before, sorted.
    pub(super) fn named(&self, touched: &Touched, offset: u64, bytes: &[u8]) -> Vec<u64> {
        let mut clusters = Vec::new();
        if touched.header {
            let (old, new) = (self.layout, self.updated_layout(offset, bytes));
            if new.l1_offset != old.l1_offset {
                let first = new.l1_offset >> new.cluster_bits;
                let count = (u64::from(new.l1_entries) * ENTRY).div_ceil(new.cluster_size());
                clusters.extend(first..first.saturating_add(count));
            }
        }
        for (_, old, new) in changes(&self.l1, self.layout.l1_offset, offset, bytes) {
            clusters.extend(self.cluster(new).filter(|_| new != old));
        }
        for (index, old, new) in
            changes(&self.refcount_table, self.layout.refcount_table_offset, offset, bytes)
        {
            // Leave out a refcount block that contains its own count.
            let is_counted_above = |cluster: &u64| self.count(*cluster).0 != index as u64;
            clusters.extend(self.cluster(new).filter(is_counted_above).filter(|_| new != old));
        }
        if !self.has_data_file {
            for cluster in &touched.l2 {
                let table = (cluster << self.layout.cluster_bits).checked_sub(offset);
                let entries = table.and_then(|start| bytes.get(usize::try_from(start).ok()?..));
                let (entries, _) = entries.unwrap_or_default().as_chunks::<8>();
                let count = usize::try_from(self.layout.cluster_size() / ENTRY).unwrap_or(usize::MAX);
                let entries = entries.iter().take(count).map(|entry| u64::from_be_bytes(*entry));
                entries.for_each(|entry| self.mapped(entry, &mut clusters));
            }
        }
        clusters.sort_unstable();
        clusters.dedup();
        clusters
    }

    /// Records that `bytes` were written at `offset`. For the header, see [`Tables::updated_layout`].
    pub(super) fn written(&mut self, offset: u64, bytes: &[u8]) {
        let l1: Vec<_> = changes(&self.l1, self.layout.l1_offset, offset, bytes).collect();
        let refcounts: Vec<_> =
            changes(&self.refcount_table, self.layout.refcount_table_offset, offset, bytes).collect();
        for (index, _, new) in l1 {
            self.l1[index] = new;
            self.blocks.extend(self.cluster(new).map(|cluster| (cluster, Block::Mappings)));
        }
        for (index, _, new) in refcounts {
            self.refcount_table[index] = new;
            self.blocks.extend(self.cluster(new).map(|cluster| (cluster, Block::Counts)));
        }
    }

    /// The layout of the tables after `bytes` are written at `offset`.
    pub(super) fn updated_layout(&self, offset: u64, bytes: &[u8]) -> Layout {
        // The header is always written as a whole.
        if offset == 0 { self.layout.updated(bytes) } else { self.layout }
    }

    /// The index of the refcount block that counts `cluster`, and the index of the count in it.
    pub(super) fn count(&self, cluster: u64) -> (u64, u64) {
        let bits = self.layout.cluster_bits + 3 - self.layout.refcount_order;
        (cluster >> bits, cluster & ((1 << bits) - 1))
    }

    /// The offset in the file of the refcount block with this index.
    pub(super) fn refcounts(&self, index: u64) -> Option<u64> {
        let entry = usize::try_from(index).ok().and_then(|index| self.refcount_table.get(index));
        entry.map(|entry| entry & OFFSET).filter(|&offset| offset != 0)
    }

    fn l1_range(&self) -> Range<u64> {
        self.layout.l1_offset..self.layout.l1_offset.saturating_add(self.l1.len() as u64 * ENTRY)
    }

    fn refcount_table_range(&self) -> Range<u64> {
        let start = self.layout.refcount_table_offset;
        start..start.saturating_add(self.refcount_table.len() as u64 * ENTRY)
    }

    /// The cluster that an entry names, if it names one.
    fn cluster(&self, entry: u64) -> Option<u64> {
        Some((entry & OFFSET) >> self.layout.cluster_bits).filter(|_| entry & OFFSET != 0)
    }

    /// Adds the clusters that an entry of an L2 table names.
    fn mapped(&self, entry: u64, clusters: &mut Vec<u64>) {
        if entry & COMPRESSED == 0 {
            clusters.extend(self.cluster(entry));
            return;
        }
        // "Compressed Clusters Descriptor": an offset, and the number of further sectors.
        let bits = 62 - (self.layout.cluster_bits - 8);
        let start = entry & ((1 << bits) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> bits;
        let last = (start & !511) + (sectors + 1) * 512 - 1;
        clusters.extend(start >> self.layout.cluster_bits..=last >> self.layout.cluster_bits);
    }
}

/// The entries of a table at `start` that lie completely in `bytes` at `offset`: their indexes, and their values before and after.
fn changes<'a>(
    table: &'a [u64],
    start: u64,
    offset: u64,
    bytes: &'a [u8],
) -> impl Iterator<Item = (usize, u64, u64)> + use<'a> {
    // Either both consist of whole entries from their start, or the table lies within the bytes.
    let (skip, first) = match offset.checked_sub(start) {
        Some(behind) => (0, behind / ENTRY),
        None => (start - offset, 0),
    };
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let (entries, _) = bytes.get(skip..).unwrap_or_default().as_chunks::<8>();
    let old = table.get(first..).unwrap_or_default();
    old.iter()
        .zip(entries)
        .enumerate()
        .map(move |(index, (&old, new))| (first + index, old, u64::from_be_bytes(*new)))
}

fn read_entries(file: &File, offset: u64, count: u64) -> io::Result<Vec<u64>> {
    // Check the length before allocating memory. A device has no length, but it can be sought to its end.
    let mut seeking = file;
    let end = seeking.seek(SeekFrom::End(0))?;
    if offset.checked_add(count * ENTRY).is_none_or(|table| table > end) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let len = usize::try_from(count * ENTRY).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    let (entries, _) = bytes.as_chunks::<8>();
    Ok(entries.iter().map(|entry| u64::from_be_bytes(*entry)).collect())
}

#[cfg(test)]
#[path = "tables_test.rs"]
mod tests;
