//! Carries out requests on a disk.

use std::{
    io::{self, ErrorKind},
    iter,
    ops::Range,
    sync::Arc,
};

use vm_memory::VolatileSlice;

use super::{
    cache::WriteCache,
    counters::RequestKind,
    faults::Faults,
    lasting::Lasting,
    request::{self, Operation, Refusal, Reply, Request, Segment},
};
use crate::{
    buffers::Buffers,
    disk::{Direction, Disk, SECTOR_SIZE},
    vectored::IOV_MAX,
    worker::Stop,
};

/// The most bytes of a request that are moved at a time. A request may be of nearly 4 GiB, but a reset waits for at most this much of each.
pub(crate) const SLICE: usize = 1 << 20;

/// The most bytes that are discarded or zeroed at a time, for the same reason: a host may have to write them, or an image may have small
/// clusters. It is a multiple of every format's cluster.
pub(crate) const RANGE: u64 = 16 << 20;

/// A request's work that the kernel can do by itself, on one of [`Disk::files`], while the worker does other things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Job {
    /// All of the request's data, which is checked to lie within the disk.
    Transfer {
        direction: Direction,
        file: usize,
        offset: u64,
        /// The write has to be on stable storage when it is done.
        stable: bool,
    },
    /// A flush: all data written so far goes to stable storage.
    #[default]
    Sync,
}

/// A disk, and the settings for its use from an activation to the next reset.
#[derive(Debug)]
pub(crate) struct Executor {
    /// The index of the queue that it serves.
    queue: u16,
    disk: Arc<dyn Disk>,
    lasting: Lasting,
    cache: Arc<WriteCache>,
    stop: Stop,
}

impl Executor {
    pub(crate) fn new(
        queue: u16,
        disk: Arc<dyn Disk>,
        lasting: Lasting,
        cache: Arc<WriteCache>,
        stop: Stop,
    ) -> Self {
        Self { queue, disk, lasting, cache, stop }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.lasting.faults
    }

    /// The kernel's job for `request`, if the kernel can do all of it. Otherwise call [`Executor::execute`].
    pub(crate) fn job<R>(&self, request: &Request<'_, R>) -> Option<Job> {
        let (direction, sector, stable) = match request.operation {
            Operation::Read { sector } => (Direction::Read, sector, false),
            Operation::Write { sector, stable } if !self.disk.is_read_only() => {
                (Direction::Write, sector, self.write_is_stable(stable))
            }
            Operation::Flush if self.cache.flush_is_needed() => return Some(Job::Sync),
            _ => return None,
        };
        let data = &request.data;
        if data.is_empty() || data.as_slice().len() > IOV_MAX {
            return None;
        }
        let offset = self.offset(sector, data).ok()?;
        let file = self.disk.file_for(direction, data.as_slice(), offset)?;
        Some(Job::Transfer { direction, file, offset, stable })
    }

    /// Answers a `request` whose [`Job`] the kernel has ended, with the number of bytes moved or an error. Returns the transport's next
    /// step; none if the request is left because of a reset.
    pub(crate) fn finish<R: Reply>(
        &self,
        request: Request<'_, R>,
        done: io::Result<usize>,
    ) -> Option<R::Answer> {
        let len = request.len();
        match done {
            Ok(moved) if moved >= len => self.answer(request, Ok(len)),
            // The kernel may stop early for many reasons: carry on from there to find the real one.
            Ok(_) => self.execute(request),
            Err(error) if is_no_answer(&error) => self.execute(request),
            Err(error) => {
                let (kind, sector) = match request.operation {
                    Operation::Read { sector } => (RequestKind::Read, sector),
                    Operation::Write { sector, .. } => (RequestKind::Write, sector),
                    _ => (RequestKind::Flush, 0),
                };
                let failed = self.check(kind, sector, Err(error));
                self.answer(request, failed.map(|()| 0))
            }
        }
    }

    /// Carries out `request` and answers it. Returns the transport's next step; none if the request is left because of a reset.
    pub(crate) fn execute<R: Reply>(&self, request: Request<'_, R>) -> Option<R::Answer> {
        let result = match &request.operation {
            Operation::Read { sector } => self.read(*sector, &request.data),
            Operation::Write { sector, stable } => self.write(*sector, *stable, &request.data),
            Operation::Flush if self.cache.flush_is_needed() => self.flush(RequestKind::Flush, 0).map(|()| 0),
            Operation::Flush => Ok(0),
            Operation::Discard(segments) => self.discard(segments),
            Operation::WriteZeroes(segments) => self.write_zeroes(segments),
            Operation::Answer(result) => *result,
        };
        self.answer(request, result)
    }

    /// Counts and answers a request that moved or named some bytes, or was not carried out.
    fn answer<R: Reply>(&self, request: Request<'_, R>, result: Result<usize, Refusal>) -> Option<R::Answer> {
        if result == Err(Refusal::Stopped) {
            return None;
        }
        if let Some(kind) = request.operation.kind() {
            let bytes = result.unwrap_or(0) as u64;
            self.lasting.counters.queue(self.queue).record(kind, bytes, result.is_ok());
        }
        Some(request.reply.complete(result))
    }

    /// Returns true if a write has to be on stable storage when it is answered. `asked`: the request itself demands it.
    fn write_is_stable(&self, asked: bool) -> bool {
        self.cache.write_is_stable() || asked && self.cache.flush_is_needed()
    }

    fn read(&self, sector: u64, data: &Buffers<'_>) -> Result<usize, Refusal> {
        let offset = self.offset(sector, data)?;
        self.by_slices(RequestKind::Read, data, offset, |data, offset| self.disk.read_at(data, offset))?;
        Ok(data.len())
    }

    fn write(&self, sector: u64, stable: bool, data: &Buffers<'_>) -> Result<usize, Refusal> {
        if self.disk.is_read_only() {
            return Err(Refusal::IoError);
        }
        let offset = self.offset(sector, data)?;
        self.by_slices(RequestKind::Write, data, offset, |data, offset| self.disk.write_at(data, offset))?;
        if self.write_is_stable(stable) {
            self.flush(RequestKind::Write, sector)?;
        }
        Ok(data.len())
    }

    /// Makes `transfer` move `data` from or to `offset`, a part at a time, until the device is reset.
    fn by_slices(
        &self,
        kind: RequestKind,
        data: &Buffers<'_>,
        offset: u64,
        transfer: impl Fn(&[VolatileSlice<'_>], u64) -> io::Result<()>,
    ) -> Result<(), Refusal> {
        let (len, sector) = (data.len(), offset / SECTOR_SIZE);
        if len <= SLICE {
            return self.check(kind, sector, transfer(data.as_slice(), offset));
        }
        for done in (0..len).step_by(SLICE) {
            self.go_on()?;
            let part: Vec<_> = data.range(done, SLICE).collect();
            self.check(kind, sector, transfer(&part, offset + done as u64))?;
        }
        Ok(())
    }

    /// Fails once requests are to be left because of a reset.
    fn go_on(&self) -> Result<(), Refusal> {
        if self.stop.leaves_requests() { Err(Refusal::Stopped) } else { Ok(()) }
    }

    /// Flushes for a request of this `kind`.
    fn flush(&self, kind: RequestKind, sector: u64) -> Result<(), Refusal> {
        self.check(kind, sector, self.disk.flush())
    }

    /// Discards the segments. This writes no data, so there is nothing to make stable.
    fn discard(&self, segments: &Result<Vec<Segment>, Refusal>) -> Result<usize, Refusal> {
        let segments = segments.as_ref().map_err(|refusal| *refusal)?;
        for part in segments.iter().flat_map(|segment| parts(&segment.range)) {
            self.go_on()?;
            let sector = part.start / SECTOR_SIZE;
            self.check(RequestKind::Discard, sector, self.disk.discard(part))?;
        }
        Ok(request::total(segments))
    }

    /// Writes zeros. If the driver permits giving space back, this still happens only where the user enabled it.
    fn write_zeroes(&self, segments: &Result<Vec<Segment>, Refusal>) -> Result<usize, Refusal> {
        let segments = segments.as_ref().map_err(|refusal| *refusal)?;
        for Segment { range, unmap } in segments {
            let unmap = *unmap && self.lasting.options.discard;
            for part in parts(range) {
                self.go_on()?;
                let sector = part.start / SECTOR_SIZE;
                self.check(RequestKind::WriteZeroes, sector, self.disk.write_zeroes(part, unmap))?;
            }
        }
        if let (true, Some(last)) = (self.cache.write_is_stable(), segments.last()) {
            self.flush(RequestKind::WriteZeroes, last.range.start / SECTOR_SIZE)?;
        }
        Ok(request::total(segments))
    }

    /// The offset of `sector` in bytes, if `data` is whole sectors that all lie within the disk.
    fn offset(&self, sector: u64, data: &Buffers<'_>) -> Result<u64, Refusal> {
        let len = data.len() as u64;
        let offset = sector.checked_mul(SECTOR_SIZE);
        let end = offset.and_then(|offset| offset.checked_add(len));
        match (offset, end) {
            (Some(offset), Some(end)) if end <= self.disk.size() && len.is_multiple_of(SECTOR_SIZE) => {
                Ok(offset)
            }
            _ => Err(Refusal::IoError),
        }
    }

    /// Logs an error of the disk.
    fn check(&self, kind: RequestKind, sector: u64, result: io::Result<()>) -> Result<(), Refusal> {
        result.map_err(|error| {
            self.lasting.faults.disk(self.disk.name(), kind, sector, &error);
            Refusal::IoError
        })
    }
}

/// Cuts `range` at multiples of [`RANGE`], which never cuts a cluster.
fn parts(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = *range;
    let next = |at: u64| (at - at % RANGE).saturating_add(RANGE);
    iter::successors(Some(start), move |&at| Some(next(at)))
        .take_while(move |&at| at < end)
        .map(move |at| at..next(at).min(end))
}

/// Returns true if the error only means that the kernel did not do the job.
fn is_no_answer(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

#[cfg(test)]
#[path = "executor_test.rs"]
mod tests;
