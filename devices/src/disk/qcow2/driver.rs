//! imago's qcow2 driver, with protection against faulty compressed clusters.
//!
//! imago inflates a cluster into memory that still has older contents, and lets the compressed data copy from before the cluster's start,
//! which is the end of that memory. So an image could show the guest other contents of nvmm's memory. Here, clusters are inflated over
//! zeros. Where imago inflates one by itself, to write to a part of it, it is checked first that the result doesn't depend on the older
//! contents.

#![expect(unsafe_code, reason = "imago's interface to formats has unsafe functions")]

use std::{
    fmt::{self, Display, Formatter},
    io::{self, ErrorKind},
};

use imago::{
    PreparedDataMapping, ShallowMapping,
    format::{Format, PreallocateMode, drivers::FormatDriverInstance},
    io_buffers::IoVectorMut,
    qcow2::Qcow2,
};

use super::storage::Store;

/// One image.
#[derive(Debug)]
pub(super) struct Driver {
    imago: Qcow2<Store>,
    cluster_size: u64,
}

impl Driver {
    pub(super) fn new(imago: Qcow2<Store>, cluster_size: u64) -> Self {
        Self { imago, cluster_size }
    }

    /// The cluster at `start`, inflated over bytes of `fill`; `None` if it is no longer compressed.
    fn inflate(&self, start: u64, fill: u8) -> io::Result<Option<Vec<u8>>> {
        let mut cluster = vec![fill; usize::try_from(self.cluster_size).map_err(io::Error::other)?];
        let rest = self.imago.try_readv_special((&mut cluster).into(), start)?;
        Ok(rest.is_none().then_some(cluster))
    }

    /// Checks the clusters that a write to `len` bytes at `offset` changes only partly, or all of its clusters unless they are `overwrite`n
    /// at once.
    fn check(&self, offset: u64, len: u64, overwrite: bool) -> io::Result<()> {
        let end = offset.saturating_add(len);
        let (first, last) = (self.start(offset), self.start(end.saturating_sub(1)));
        if !overwrite {
            let clusters =
                (first..=last).step_by(usize::try_from(self.cluster_size).map_err(io::Error::other)?);
            return clusters.into_iter().try_for_each(|start| self.check_cluster(start));
        }
        if first < offset || end < first.saturating_add(self.cluster_size) {
            self.check_cluster(first)?;
        }
        if last > first && end < last.saturating_add(self.cluster_size) {
            self.check_cluster(last)?;
        }
        Ok(())
    }

    fn check_cluster(&self, start: u64) -> io::Result<()> {
        let (ShallowMapping::Special { .. }, _) = self.imago.get_mapping(start, 1)? else { return Ok(()) };
        if self.inflate(start, 0)? == self.inflate(start, u8::MAX)? {
            return Ok(());
        }
        let what = format!("the compressed cluster at {start:#x} copies bytes from before its start");
        Err(io::Error::new(ErrorKind::InvalidData, what))
    }

    /// The first byte of the cluster that contains `offset`.
    fn start(&self, offset: u64) -> u64 {
        offset - offset % self.cluster_size
    }
}

impl FormatDriverInstance for Driver {
    type Storage = Store;

    fn format(&self) -> Format {
        self.imago.format()
    }

    unsafe fn probe(storage: &Store) -> io::Result<bool> {
        // SAFETY: our caller keeps the promises that this function asks for.
        unsafe { Qcow2::<Store>::probe(storage) }
    }

    fn size(&self) -> u64 {
        self.imago.size()
    }

    fn zero_granularity(&self) -> Option<u64> {
        self.imago.zero_granularity()
    }

    fn collect_storage_dependencies(&self) -> Vec<&Store> {
        self.imago.collect_storage_dependencies()
    }

    fn writable(&self) -> bool {
        self.imago.writable()
    }

    fn get_mapping(&self, offset: u64, max_length: u64) -> io::Result<(ShallowMapping<'_, Store>, u64)> {
        self.imago.get_mapping(offset, max_length)
    }

    fn ensure_data_mapping(
        &self,
        offset: u64,
        length: u64,
        overwrite: bool,
    ) -> io::Result<(&Store, u64, u64)> {
        self.check(offset, length, overwrite)?;
        self.imago.ensure_data_mapping(offset, length, overwrite)
    }

    fn prepare_data_mapping(
        &self,
        offset: u64,
        length: u64,
        overwrite: bool,
    ) -> io::Result<PreparedDataMapping<'_, Store>> {
        self.check(offset, length, overwrite)?;
        self.imago.prepare_data_mapping(offset, length, overwrite)
    }

    fn commit_data_mapping(&self, mapping: PreparedDataMapping<'_, Store>) -> io::Result<()> {
        self.imago.commit_data_mapping(mapping)
    }

    fn ensure_zero_mapping(&self, offset: u64, length: u64) -> io::Result<(u64, u64)> {
        self.imago.ensure_zero_mapping(offset, length)
    }

    unsafe fn discard_to_zero_unsafe(&self, offset: u64, length: u64) -> io::Result<(u64, u64)> {
        // SAFETY: our caller keeps the promises that this function asks for.
        unsafe { self.imago.discard_to_zero_unsafe(offset, length) }
    }

    unsafe fn discard_to_any_unsafe(&self, offset: u64, length: u64) -> io::Result<(u64, u64)> {
        // SAFETY: our caller keeps the promises that this function asks for.
        unsafe { self.imago.discard_to_any_unsafe(offset, length) }
    }

    unsafe fn discard_to_backing_unsafe(&self, offset: u64, length: u64) -> io::Result<(u64, u64)> {
        // SAFETY: our caller keeps the promises that this function asks for.
        unsafe { self.imago.discard_to_backing_unsafe(offset, length) }
    }

    fn readv_special(&self, buffers: IoVectorMut<'_>, offset: u64) -> io::Result<()> {
        match self.try_readv_special(buffers, offset)? {
            None => Ok(()),
            Some(_) => Err(io::Error::other("the cluster is not compressed any more")),
        }
    }

    fn try_readv_special<'a>(
        &self,
        buffers: IoVectorMut<'a>,
        offset: u64,
    ) -> io::Result<Option<(IoVectorMut<'a>, u64)>> {
        let (mut rest, mut offset) = (buffers, offset);
        while !rest.is_empty() {
            let start = self.start(offset);
            let Some(cluster) = self.inflate(start, 0)? else { return Ok(Some((rest, offset))) };
            let len = rest.len().min(self.cluster_size - (offset - start));
            let (mut part, behind) = rest.split_at(len);
            let skip = usize::try_from(offset - start).map_err(io::Error::other)?;
            let bytes = cluster.get(skip..).and_then(|bytes| bytes.get(..usize::try_from(len).ok()?));
            part.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
            offset += len;
            rest = behind;
        }
        Ok(None)
    }

    fn flush(&self) -> io::Result<()> {
        self.imago.flush()
    }

    fn sync(&self) -> io::Result<()> {
        self.imago.sync()
    }

    unsafe fn invalidate_cache(&self) -> io::Result<()> {
        // SAFETY: our caller keeps the promises that this function asks for.
        unsafe { self.imago.invalidate_cache() }
    }

    fn resize_grow(&self, new_size: u64, prealloc_mode: PreallocateMode) -> io::Result<()> {
        self.imago.resize_grow(new_size, prealloc_mode)
    }

    fn resize_shrink(&mut self, new_size: u64) -> io::Result<()> {
        self.imago.resize_shrink(new_size)
    }
}

impl Display for Driver {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.imago.fmt(f)
    }
}

#[cfg(test)]
#[path = "driver_test.rs"]
mod tests;
