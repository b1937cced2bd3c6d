//! Carries out requests on a disk.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES};
use vm_memory::VolatileSlice;

use super::{
    cache::WriteCache,
    config::bit,
    counters::RequestKind,
    faults::Faults,
    lasting::Lasting,
    request::{Operation, Refusal, Request},
    segments::{self, Segment},
};
use crate::{
    disk::{Direction, Disk, SECTOR_SIZE},
    vectored::IOV_MAX,
    virtio::{queue::Buffers, worker::Stop},
};

/// The most bytes of a request that are moved at a time. A request may be of nearly 4 GiB; a reset waits for no more of
/// each than this.
pub(super) const SLICE: usize = 1 << 20;

/// What the kernel can do for a request by itself, on one of [`Disk::files`], while the worker goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Job {
    /// All of the request's data, which was found to lie within the disk.
    Transfer {
        direction: Direction,
        file: usize,
        offset: u64,
        /// The write is to be on stable storage when it is done.
        stable: bool,
    },
    /// What was written so far, to stable storage.
    #[default]
    Sync,
}

/// A disk and how it is used between one activation and the next reset.
#[derive(Debug)]
pub(super) struct Executor {
    /// The queue that it is for.
    queue: u16,
    disk: Arc<dyn Disk>,
    lasting: Lasting,
    /// What was agreed on.
    features: u64,
    cache: Arc<WriteCache>,
    stop: Stop,
}

impl Executor {
    pub(super) fn new(
        queue: u16,
        disk: Arc<dyn Disk>,
        lasting: Lasting,
        features: u64,
        cache: Arc<WriteCache>,
        stop: Stop,
    ) -> Self {
        Self { queue, disk, lasting, features, cache, stop }
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.lasting.faults
    }

    /// Whether a write is to be on stable storage when it is answered: virtio 1.3, "Block Device", "Device Requirements:
    /// Device Operation".
    pub(super) fn write_is_stable(&self) -> bool {
        self.cache.write_is_stable()
    }

    /// Whether a flush is more than an answer.
    pub(super) fn flush_is_needed(&self) -> bool {
        self.cache.flush_is_needed()
    }

    /// The kernel's job for `request`, if it can do all of it. If not, it is for [`Executor::execute`].
    pub(super) fn job(&self, request: &Request<'_>) -> Option<Job> {
        let (direction, data) = match request.operation {
            Operation::In => (Direction::Read, &request.data_in),
            Operation::Out if !self.disk.is_read_only() => (Direction::Write, &request.data_out),
            Operation::Flush if self.flush_is_needed() => return Some(Job::Sync),
            _ => return None,
        };
        if data.is_empty() || data.as_slice().len() > IOV_MAX {
            return None;
        }
        let offset = self.offset(request.sector, data).ok()?;
        let file = self.disk.file_for(direction, data.as_slice(), offset)?;
        let stable = direction == Direction::Write && self.write_is_stable();
        Some(Job::Transfer { direction, file, offset, stable })
    }

    /// Answers a `request` whose [`Job`] the kernel has ended: so many bytes were moved, or it failed. Returns the chain's
    /// first descriptor and its used length, unless told to leave it.
    pub(super) fn finish(&self, request: Request<'_>, done: io::Result<usize>) -> Option<(u16, u32)> {
        let len = match request.operation {
            Operation::In => request.data_in.len(),
            Operation::Out => request.data_out.len(),
            _ => 0,
        };
        match done {
            Ok(moved) if moved >= len => self.answer(request, Ok(len)),
            // The kernel may stop early for many reasons; only what goes on from there meets the real one.
            Ok(_) => self.execute(request),
            Err(error) if is_no_answer(&error) => self.execute(request),
            Err(error) => {
                let failed = self.check(&request, Err(error));
                self.answer(request, failed.map(|()| 0))
            }
        }
    }

    /// Carries out `request` and answers it. Returns the chain's first descriptor and its used length, unless told to leave
    /// it in the middle.
    pub(super) fn execute(&self, mut request: Request<'_>) -> Option<(u16, u32)> {
        let result = match request.operation {
            Operation::In => self.read(&request),
            Operation::Out => self.write(&request),
            Operation::Flush if self.flush_is_needed() => self.flush(&request).map(|()| 0),
            Operation::Flush => Ok(0),
            Operation::GetId => Ok(request.data_in.write(&self.lasting.options.serial.0)),
            Operation::Discard => self.discard(&mut request),
            Operation::WriteZeroes => self.write_zeroes(&mut request),
            Operation::Unknown(_) => Err(Refusal::Unsupported),
        };
        self.answer(request, result)
    }

    /// Counts and answers a request that moved or named so many bytes, or was not carried out.
    fn answer(&self, request: Request<'_>, result: Result<usize, Refusal>) -> Option<(u16, u32)> {
        if result == Err(Refusal::Stopped) {
            return None;
        }
        let operation = request.operation;
        let kind = match operation {
            Operation::In => Some(RequestKind::Read),
            Operation::Out => Some(RequestKind::Write),
            Operation::Flush => Some(RequestKind::Flush),
            Operation::Discard => Some(RequestKind::Discard),
            Operation::WriteZeroes => Some(RequestKind::WriteZeroes),
            Operation::GetId | Operation::Unknown(_) => None,
        };
        if let Some(kind) = kind {
            let bytes = result.unwrap_or(0) as u64;
            self.lasting.counters.queue(self.queue).record(kind, bytes, result.is_ok());
        }
        let is_answer = matches!(operation, Operation::In | Operation::GetId);
        Some(request.complete(result.map(|bytes| if is_answer { bytes } else { 0 })))
    }

    fn read(&self, request: &Request<'_>) -> Result<usize, Refusal> {
        let offset = self.offset(request.sector, &request.data_in)?;
        self.by_slices(request, &request.data_in, offset, |data, offset| self.disk.read_at(data, offset))?;
        Ok(request.data_in.len())
    }

    fn write(&self, request: &Request<'_>) -> Result<usize, Refusal> {
        if self.disk.is_read_only() {
            return Err(Refusal::IoError);
        }
        let offset = self.offset(request.sector, &request.data_out)?;
        self.by_slices(request, &request.data_out, offset, |data, offset| self.disk.write_at(data, offset))?;
        self.settle(request)?;
        Ok(request.data_out.len())
    }

    /// Has `transfer` move `data` from or to `offset`, a part at a time, until told to leave it.
    fn by_slices(
        &self,
        request: &Request<'_>,
        data: &Buffers<'_>,
        offset: u64,
        transfer: impl Fn(&[VolatileSlice<'_>], u64) -> io::Result<()>,
    ) -> Result<(), Refusal> {
        let len = data.len();
        if len <= SLICE {
            return self.check(request, transfer(data.as_slice(), offset));
        }
        for done in (0..len).step_by(SLICE) {
            self.go_on()?;
            let part: Vec<_> = data.range(done, SLICE).collect();
            self.check(request, transfer(&part, offset + done as u64))?;
        }
        Ok(())
    }

    /// Refuses to go on once told to leave requests.
    fn go_on(&self) -> Result<(), Refusal> {
        if self.stop.leaves_requests() { Err(Refusal::Stopped) } else { Ok(()) }
    }

    fn flush(&self, request: &Request<'_>) -> Result<(), Refusal> {
        self.check(request, self.disk.flush())
    }

    /// Makes what was written stable, if there is no write cache.
    fn settle(&self, request: &Request<'_>) -> Result<(), Refusal> {
        if self.write_is_stable() { self.flush(request) } else { Ok(()) }
    }

    /// Gives space back. What it held is not written to, so that there is nothing to be made stable.
    fn discard(&self, request: &mut Request<'_>) -> Result<usize, Refusal> {
        self.agreed(VIRTIO_BLK_F_DISCARD)?;
        let segments = Segment::take(&mut request.data_out, &segments::DISCARD, self.disk.size())?;
        let bytes = segments::total(&segments);
        for Segment { range, .. } in segments {
            request.sector = range.start / SECTOR_SIZE;
            self.go_on()?;
            self.check(request, self.disk.discard(range))?;
        }
        Ok(bytes)
    }

    /// Writes zeros. That the driver lets the space be given back is no order: where that was not wished for, it is kept.
    fn write_zeroes(&self, request: &mut Request<'_>) -> Result<usize, Refusal> {
        self.agreed(VIRTIO_BLK_F_WRITE_ZEROES)?;
        let segments = Segment::take(&mut request.data_out, &segments::WRITE_ZEROES, self.disk.size())?;
        let bytes = segments::total(&segments);
        for Segment { range, unmap } in segments {
            request.sector = range.start / SECTOR_SIZE;
            self.go_on()?;
            self.check(request, self.disk.write_zeroes(range, unmap && self.lasting.options.discard))?;
        }
        self.settle(request)?;
        Ok(bytes)
    }

    /// Whether the driver may ask for what `feature` stands for. It is not offered for a disk that is only read.
    fn agreed(&self, feature: u32) -> Result<(), Refusal> {
        if self.features & bit(feature) != 0 { Ok(()) } else { Err(Refusal::Unsupported) }
    }

    /// Where `sector` is, in bytes, if `data` is whole sectors that all lie within the disk.
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

    /// Reports an error of the disk.
    fn check(&self, request: &Request<'_>, result: io::Result<()>) -> Result<(), Refusal> {
        result.map_err(|error| {
            self.lasting.faults.disk(self.disk.name(), request.operation, request.sector, &error);
            Refusal::IoError
        })
    }
}

/// Whether the kernel only said that it did not do it.
fn is_no_answer(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

#[cfg(test)]
#[path = "executor_test.rs"]
mod tests;
