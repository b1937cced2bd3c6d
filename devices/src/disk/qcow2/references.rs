//! What keeps an image sound if nvmm is killed, or the host has no room, while imago writes to it.
//!
//! imago enters a new L2 table, L1 table or refcount block where it belongs as soon as it has one, but holds back that
//! the table's clusters are in use. After a kill in between, they would be given away again, table and all. So what
//! refers to a cluster waits here until the file says that the cluster is in use. And what imago can't enter for lack of
//! room, it takes for entered. So that is tried again until it succeeds, and no flush succeeds before.
//!
//! Names are those of QEMU's `docs/interop/qcow2.txt`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::FileExt,
    sync::{PoisonError, RwLock, RwLockWriteGuard},
};

use imago::io_buffers::IoVector;

use super::tables::{Refcount, Tables, read_at};

/// Where in an entry of the L1 table or the refcount table the cluster is.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// An image's references, as they are in its file.
#[derive(Debug)]
pub(super) struct References {
    file: File,
    /// Locked for reading by whoever writes what is no reference, and so can't come between the parts of what is one.
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    tables: Tables,
    /// What could not be written, and where it is to be.
    owed: BTreeMap<u64, Vec<u8>>,
    /// Refcounts that are in the file before imago writes them, by their last byte. One that imago wrote before it knew
    /// better could still come after.
    counted: BTreeMap<u64, Refcount>,
}

impl References {
    /// Reads where the tables are in an image whose header is a good one.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let tables = Tables::read(&file)?;
        let state = State { tables, owed: BTreeMap::new(), counted: BTreeMap::new() };
        Ok(Self { file, state: RwLock::new(state) })
    }

    /// Has `buffers` written at `offset` by `write`, which wants them aligned to `align`, as soon as that is safe.
    pub(super) fn write(
        &self,
        buffers: IoVector<'_>,
        offset: u64,
        align: usize,
        write: impl Fn(IoVector<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let range = offset..offset + buffers.len();
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if !state.concerns(&range) {
                return write(buffers);
            }
        }
        let mut state = self.lock();
        let mut owned = buffers.try_into_owned(align)?;
        let bytes = owned.as_mut().into_slice();
        state.keep_counted(&range, bytes);
        let tables = state.tables.after(bytes, offset);
        let settled = match self.settle_all(&mut state) {
            // Without its block a refcount is nowhere. Of a table below the L1 table, only a flush says that it is there.
            Err(error) if state.owes_refcounts() => Err(error),
            _ => Ok(()),
        };
        let written = settled
            .and_then(|()| self.count_all(&mut state, &tables, offset, bytes))
            .and_then(|()| write((&owned).into()));
        match &written {
            Ok(()) => state.tables = tables,
            // A header that is not written leaves imago with the tables that it had.
            Err(_) if state.tables.entries(&range).next().is_some() => {
                state.owed.insert(offset, owned.as_ref().into_slice().to_vec());
            }
            Err(_) => {}
        }
        written
    }

    /// Writes what could not be written before.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.settle_all(&mut self.lock())
    }

    fn settle_all(&self, state: &mut State) -> io::Result<()> {
        while let Some((offset, bytes)) = state.owed.first_key_value() {
            let (offset, bytes) = (*offset, bytes.clone());
            let tables = state.tables.clone();
            self.count_all(state, &tables, offset, &bytes)?;
            self.file.write_all_at(&bytes, offset)?;
            state.owed.remove(&offset);
        }
        Ok(())
    }

    /// Has the file say that all clusters are in use that `bytes` at `offset`, and the header with them, newly refer to.
    fn count_all(&self, state: &mut State, after: &Tables, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let range = offset..offset + bytes.len() as u64;
        for at in state.tables.entries(&range) {
            let [old, new] = [self.entry(at, &[], 0)?, self.entry(at, bytes, offset)?];
            if new != old && new != 0 {
                self.count(state, new, bytes, offset)?;
            }
        }
        if after.l1.start != state.tables.l1.start {
            for cluster in after.l1.clone().step_by(1 << after.cluster_bits) {
                self.count(state, cluster, bytes, offset)?;
            }
        }
        Ok(())
    }

    /// Has the file say that the cluster at `cluster` is in use, in its present refcount table but for what is to be
    /// written.
    fn count(&self, state: &mut State, cluster: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (entry, index) = state.tables.refcount_of(cluster);
        let block = match state.tables.refcounts.contains(&entry) {
            true => self.entry(entry, bytes, offset)?,
            false => 0,
        };
        if block == 0 {
            let what =
                format!("the cluster at {cluster:#x} is referred to, but there is no refcount block for it");
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        let refcount = state.tables.refcount(block, index);
        let mut now = vec![0; refcount.len()];
        read_at(&self.file, &mut now, refcount.bytes.start)?;
        if refcount.is_zero(&now) {
            refcount.set(&mut now);
            self.file.write_all_at(&now, refcount.bytes.start)?;
            state.counted.insert(refcount.bytes.end - 1, refcount);
        }
        Ok(())
    }

    /// The cluster in the table entry at `at`, once `bytes` are at `offset`.
    fn entry(&self, at: u64, bytes: &[u8], offset: u64) -> io::Result<u64> {
        let mut entry = [0; 8];
        let new =
            at.checked_sub(offset).and_then(|skip| bytes.get(usize::try_from(skip).ok()?..)?.first_chunk());
        match new {
            Some(new) => entry = *new,
            None => read_at(&self.file, &mut entry, at)?,
        }
        Ok(u64::from_be_bytes(entry) & OFFSET)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a write to `range` needs more than to be done.
    fn concerns(&self, range: &Range<u64>) -> bool {
        !self.owed.is_empty()
            || range.start < Tables::HEADER_LEN
            || self.tables.entries(range).next().is_some()
            || self.counted.range(range.clone()).next().is_some()
    }

    fn owes_refcounts(&self) -> bool {
        let table = &self.tables.refcounts;
        self.owed.iter().any(|(at, bytes)| *at < table.end && table.start < at + bytes.len() as u64)
    }

    /// Keeps `bytes`, which are to be written to `range`, from taking back a refcount that imago has not written yet.
    fn keep_counted(&mut self, range: &Range<u64>, bytes: &mut [u8]) {
        let mut written = Vec::new();
        for (last, refcount) in self.counted.range(range.clone()) {
            let place =
                refcount.bytes.start.checked_sub(range.start).and_then(|start| usize::try_from(start).ok());
            let Some(now) = place.and_then(|start| bytes.get_mut(start..start + refcount.len())) else {
                continue;
            };
            match refcount.is_zero(now) {
                true => refcount.set(now),
                false => written.push(*last),
            }
        }
        for last in written {
            self.counted.remove(&last);
        }
    }
}

#[cfg(test)]
#[path = "references_test.rs"]
mod tests;
