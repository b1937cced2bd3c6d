//! The order in which the parts of an image are written, so that the image is consistent whenever the host stops.
//!
//! Between two barriers, a medium may store writes in any order, or not at all. imago mostly writes its tables back in an order that is
//! right for a process that is killed, but without barriers. So this checks each write to the file, and enforces three rules:
//!
//! 1. Data and refcounts are on the medium before the L2 table that names the clusters, an L2 table before its entry in the L1 table, and a
//!    refcount block before its entry in the refcount table. imago names a new table at once, and counts it later, when it writes its
//!    refcounts back. So a cluster that gets named is counted here if the file doesn't count it yet; imago's refcount is the same, and is
//!    written later.
//! 2. A cluster is counted as free only when nothing names it any more: L2 tables come before refcount blocks, too.
//! 3. A cluster is reused only when the medium has recorded that it is free.
//!
//! If the host stops between two writes, the only loss is space that is counted as used but is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use imago::io_buffers::IoBuffer;

use super::{
    super::guard::{self, Layout},
    counter::Counter,
    tables::{Tables, Touched},
};

/// Keeps the writes to one image in order. Any number of threads may use it.
#[derive(Debug)]
pub(super) struct Order {
    /// The image, opened through the page cache.
    file: File,
    /// The file with the disk's clusters, if it is another one.
    data_file: Option<File>,
    tables: RwLock<Tables>,
    /// Locked during steps that nothing else may come between.
    state: Mutex<State>,
    /// Opened: from here on only growth may change the header.
    opened: AtomicBool,
    /// Data was written since the last barrier.
    data: AtomicBool,
    /// Tables that name clusters were written since the last barrier.
    names: AtomicBool,
    /// The number of times that clusters were freed, and how many of these are known to be on the medium.
    freed: AtomicU64,
    settled: AtomicU64,
    #[cfg(test)]
    pub(super) log: super::testing::Log,
}

#[derive(Debug, Default)]
struct State {
    /// Refcounts were written since the last barrier.
    counts: bool,
    /// Clusters that were counted here. A write of imago's that began before may still revert that.
    counted: BTreeSet<u64>,
    /// Entries of the L1 table and the refcount table that imago believes written, but whose write failed.
    owed: BTreeMap<u64, Vec<u8>>,
}

impl Order {
    /// For the image in `file`, with its data in `data_file` if there is one.
    ///
    /// # Errors
    ///
    /// The tables can't be read; or the cluster of the header is not counted as used, so that imago would allocate it again and again,
    /// until its stack overflows.
    pub(super) fn new(file: File, data_file: Option<File>, layout: Layout) -> io::Result<Self> {
        let tables = RwLock::new(Tables::read(&file, layout, data_file.is_some())?);
        let order = Self {
            file,
            data_file,
            tables,
            state: Mutex::default(),
            opened: AtomicBool::new(false),
            data: AtomicBool::new(false),
            names: AtomicBool::new(false),
            freed: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            #[cfg(test)]
            log: super::testing::Log::default(),
        };
        if !order.counts_header()? {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its header counts as free"));
        }
        Ok(order)
    }

    /// Tells the order that imago has opened the image. From now on, imago changes only those fields of the header that change when the
    /// image grows.
    pub(super) fn opened(&self) {
        self.opened.store(true, Ordering::Release);
    }

    /// The blocks of the image that a write of `len` bytes at `offset` touches.
    pub(super) fn touched(&self, offset: u64, len: u64) -> Touched {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).touched(offset, len)
    }

    /// Writes data by calling `write`.
    pub(super) fn write_data(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.has_freed() && self.names.load(Ordering::Acquire) {
            self.barrier(&mut self.lock())?;
        }
        #[cfg(test)]
        self.log.try_write()?;
        let written = write();
        // Set afterwards: a barrier in the meantime may have missed the write, so another one is needed.
        self.data.store(true, Ordering::Release);
        written
    }

    /// Writes `bytes`, which belong to tables, at `offset`, by calling `write`.
    pub(super) fn write_tables(
        &self,
        touched: &Touched,
        offset: u64,
        mut bytes: IoBuffer,
        write: impl FnOnce(&IoBuffer) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.lock();
        if touched.header {
            self.check_header(offset, bytes.as_ref().into_slice())?;
        }
        let range = offset..offset.saturating_add(bytes.len() as u64);
        // A flush fails as long as an entry is owed. Other writes go on without it.
        let _ = self.pay(&mut state, |at| !range.contains(&at));
        self.keep_counted(&mut state, touched, offset, bytes.as_mut().into_slice());
        let contents = bytes.as_ref().into_slice();
        let written = self.write_in_order(&mut state, touched, offset, contents, || write(&bytes));
        if touched.l1 || touched.refcount_table {
            state.owed.retain(|at, _| !range.contains(at));
            if written.is_err() {
                state.owed.insert(offset, contents.to_vec());
            }
        }
        written
    }

    /// Tells the order that clusters are about to be freed.
    pub(super) fn freeing(&self) {
        self.freed.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns whether some clusters are free, but may not be free on the medium yet.
    pub(super) fn has_freed(&self) -> bool {
        self.freed.load(Ordering::Acquire) > self.settled.load(Ordering::Acquire)
    }

    /// Writes the entries that are owed.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.pay(&mut self.lock(), |_| true)
    }

    /// Calls `write_back`, by which imago writes all that it has cached, and returns once all of it is on the medium.
    pub(super) fn sync(&self, write_back: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let freed = self.freed.load(Ordering::Acquire);
        write_back()?;
        let mut state = self.lock();
        self.pay(&mut state, |_| true)?;
        self.barrier(&mut state)?;
        self.settled.fetch_max(freed, Ordering::AcqRel);
        Ok(())
    }

    /// Tells the order that no call into imago is in progress: so no write of refcounts is underway that began before a cluster was counted
    /// here.
    pub(super) fn at_rest(&self) {
        self.lock().counted.clear();
    }

    /// Returns whether each part of a `range` of the disk has an L2 table.
    pub(super) fn maps(&self, range: &Range<u64>) -> bool {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).maps(range)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_in_order(
        &self,
        state: &mut State,
        touched: &Touched,
        offset: u64,
        bytes: &[u8],
        write: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let named = self.tables.read().unwrap_or_else(PoisonError::into_inner).named(touched, offset, bytes);
        self.count(state, &named)?;

        let names = touched.l1 || !touched.l2.is_empty();
        let (data, counts) = (self.data.load(Ordering::Acquire), state.counts);
        let needs_barrier = (names && (data || counts))
            || (!touched.refcounts.is_empty() && self.names.load(Ordering::Acquire))
            || ((touched.header || touched.refcount_table)
                && (data || counts || self.names.load(Ordering::Acquire)));
        if needs_barrier {
            self.barrier(state)?;
        }

        // Set before the write, since a write that fails may be done in part.
        state.counts |= !touched.refcounts.is_empty() || touched.refcount_table || touched.header;
        if names || touched.header {
            self.names.store(true, Ordering::Release);
        }
        #[cfg(test)]
        self.log.try_write()?;
        write()?;
        self.note(touched, offset, bytes)
    }

    /// Records the changes made by `bytes` at `offset`.
    fn note(&self, touched: &Touched, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.written(offset, bytes);
        let layout = tables.updated_layout(offset, bytes);
        if touched.header && layout != tables.layout() {
            *tables = Tables::read(&self.file, layout, self.data_file.is_some())?;
        }
        Ok(())
    }

    /// Counts those of `clusters`, which are sorted, that are free in the file.
    fn count(&self, state: &mut State, clusters: &[u64]) -> io::Result<()> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let order = tables.layout().refcount_order;
        let mut block: Option<(u64, Vec<u8>)> = None;
        for &cluster in clusters {
            let (index, count) = tables.count(cluster);
            let Some(offset) = tables.refcounts(index) else {
                return Err(io::Error::other(format!("nothing counts the uses of cluster {cluster}")));
            };
            let bytes = match &mut block {
                Some((at, bytes)) if *at == offset => bytes,
                other => {
                    let bytes = self.read_cluster(offset, tables.layout().cluster_size())?;
                    &mut other.insert((offset, bytes)).1
                }
            };
            let counter = Counter::new(count, order);
            if counter.is_zero(bytes) {
                counter.set_to_one(bytes);
                let changed = bytes.get(counter.bytes.clone()).unwrap_or_default();
                let at = offset + counter.bytes.start as u64;
                #[cfg(test)]
                self.log.try_write()?;
                self.file.write_all_at(changed, at)?;
                #[cfg(test)]
                self.log.write(at, changed);
                state.counts = true;
                state.counted.insert(cluster);
            }
        }
        Ok(())
    }

    /// Checks that `bytes` at `offset` are a header for this image. With faulty tables they may be something else, and then a guest could
    /// name any file of the host in the header.
    fn check_header(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        let cluster_size = self.tables.read().unwrap_or_else(PoisonError::into_inner).layout().cluster_size();
        let old = self.read_cluster(0, cluster_size)?;
        let mut new = old.clone();
        let place = usize::try_from(offset).ok().and_then(|offset| new.get_mut(offset..)).unwrap_or_default();
        for (new, byte) in place.iter_mut().zip(bytes) {
            *new = *byte;
        }
        if guard::is_same_image(&old, &new) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a cluster of the disk is where the image's header is",
        ))
    }

    /// Returns whether the file counts the header's cluster as used.
    fn counts_header(&self) -> io::Result<bool> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let layout = tables.layout();
        let (index, count) = tables.count(0);
        let Some(offset) = tables.refcounts(index) else { return Ok(false) };
        let block = self.read_cluster(offset, layout.cluster_size())?;
        Ok(!Counter::new(count, layout.refcount_order).is_zero(&block))
    }

    /// A cluster of the file. Bytes past the file's end are zeros.
    fn read_cluster(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }

    /// Keeps `bytes`, which are to be written at `offset`, from reverting the refcounts that were set here. Once imago has counted a
    /// cluster itself, it is no longer kept.
    fn keep_counted(&self, state: &mut State, touched: &Touched, offset: u64, bytes: &mut [u8]) {
        if touched.refcounts.is_empty() || state.counted.is_empty() {
            return;
        }
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        state.counted.retain(|&cluster| {
            let (block, count) = tables.count(cluster);
            let start = tables.refcounts(block).and_then(|block| block.checked_sub(offset));
            let block = start.and_then(|start| bytes.get_mut(usize::try_from(start).ok()?..));
            let Some(block) = block else { return true };
            let counter = Counter::new(count, tables.layout().refcount_order);
            let is_zero = counter.is_zero(block);
            if is_zero {
                counter.set_to_one(block);
            }
            // The rest of the refcount is in another block.
            is_zero || counter.bytes.end > block.len()
        });
    }

    /// Writes those entries that are owed whose offsets are `wanted`.
    fn pay(&self, state: &mut State, wanted: impl Fn(u64) -> bool) -> io::Result<()> {
        let offsets: Vec<_> = state.owed.keys().copied().filter(|&offset| wanted(offset)).collect();
        for offset in offsets {
            let Some(bytes) = state.owed.get(&offset).cloned() else { continue };
            let touched = self.touched(offset, bytes.len() as u64);
            let write = || self.file.write_all_at(&bytes, offset);
            self.write_in_order(state, &touched, offset, &bytes, write)?;
            #[cfg(test)]
            self.log.write(offset, &bytes);
            state.owed.remove(&offset);
        }
        Ok(())
    }

    /// Returns once all earlier writes are on the medium.
    fn barrier(&self, state: &mut State) -> io::Result<()> {
        let data = self.data.swap(false, Ordering::AcqRel);
        let result = self.sync_files(data, state.counts || self.names.load(Ordering::Acquire));
        match &result {
            Ok(()) => {
                state.counts = false;
                self.names.store(false, Ordering::Release);
            }
            Err(_) if data => self.data.store(true, Ordering::Release),
            Err(_) => {}
        }
        result
    }

    fn sync_files(&self, data: bool, tables: bool) -> io::Result<()> {
        if let Some(data_file) = self.data_file.as_ref().filter(|_| data) {
            data_file.sync_data()?;
        }
        if data || tables {
            self.file.sync_data()?;
            #[cfg(test)]
            self.log.sync();
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "order_test.rs"]
mod tests;
