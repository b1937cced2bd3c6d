//! Requests that the kernel carries out while the worker goes on: `io_uring`.
//!
//! The queue's doorbell is one more request on the same ring, so that a worker waits for both in one place.

#![expect(unsafe_code, reason = "the kernel uses guest memory for as long as a request is on its way")]

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::fd::AsRawFd,
    time::Duration,
};

use io_uring::{
    Builder, IoUring, cqueue, opcode,
    register::Restriction,
    squeue::{Entry, Flags},
    types::{Fixed, FsyncFlags, SubmitArgs, Timespec},
};
use libc::iovec;
use vmm_sys_util::eventfd::EventFd;

use super::{
    executor::{Job, SLICE},
    request::Request,
};
use crate::disk::Direction;

/// The doorbell's `user_data`. That of a request is the number of its slot.
const DOORBELL: u64 = u64::MAX;

/// The `user_data` of a cancellation.
const CANCEL: u64 = u64::MAX - 1;

/// The most entries that are submitted to the kernel at a time.
const MAX_ENTRIES: u16 = 256;

/// A ring, and the requests on it.
pub(crate) struct Ring<'m, R> {
    uring: IoUring,
    slots: Vec<Slot<'m, R>>,
    free: Vec<usize>,
    /// The index of the doorbell, which comes after the disk's files.
    doorbell: Fixed,
    /// The ring waits for the doorbell.
    listening: bool,
    /// Requests were cancelled: no further part of any is submitted.
    cancelled: bool,
}

/// A request while the kernel works on it.
struct Slot<'m, R> {
    request: Option<Request<'m, R>>,
    job: Job,
    /// Bytes that were moved before the part that the kernel works on.
    moved: usize,
    /// The kernel reads these when the part is submitted.
    iovecs: Vec<iovec>,
}

/// Tries whether `io_uring` can be used here.
///
/// # Errors
///
/// The kernel is too old, or doesn't allow it (`kernel.io_uring_disabled`, seccomp).
pub fn check_io_uring() -> io::Result<()> {
    set_up(1).map(drop)
}

impl<'m, R> Ring<'m, R> {
    /// Makes a ring for at most `depth` requests on `files`, and `doorbell`. Only the calling thread may use it, and only for such
    /// requests: the work of a ring bypasses the thread's seccomp filter.
    ///
    /// # Errors
    ///
    /// The same as with [`check_io_uring`].
    pub(crate) fn new(depth: u16, files: &[&File], doorbell: &EventFd) -> io::Result<Self> {
        let (uring, is_modern) = set_up(depth)?;
        let mut descriptors: Vec<_> = files.iter().map(|file| file.as_raw_fd()).collect();
        let doorbell_at = fixed(descriptors.len())?;
        descriptors.push(doorbell.as_raw_fd());
        uring.submitter().register_files(&descriptors)?;
        uring.submitter().register_restrictions(&mut restrictions(is_modern))?;
        uring.submitter().register_enable_rings()?;
        let slots = (0..depth).map(|_| Slot::new()).collect();
        let free = (0..depth.into()).rev().collect();
        Ok(Self { uring, slots, free, doorbell: doorbell_at, listening: false, cancelled: false })
    }

    /// Returns true if one more request can be started.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Starts `job` for `request`. [`Ring::has_room`] must be true. The kernel gets it in [`Ring::wait`] at the latest.
    pub(crate) fn start(&mut self, request: Request<'m, R>, job: Job) -> io::Result<()> {
        let number = *self.free.last().ok_or(ErrorKind::QuotaExceeded)?;
        let slot = &mut self.slots[number];
        (slot.request, slot.job, slot.moved) = (Some(request), job, 0);
        self.start_part(number)?;
        self.free.pop();
        Ok(())
    }

    /// Starts the next part of the request in a slot.
    fn start_part(&mut self, number: usize) -> io::Result<()> {
        let entry = self.slots[number].entry()?;
        // SAFETY: what the entry points to is guest memory, which outlives the ring, and the slot's vector, which stays as
        // it is until the part's completion was taken. Dropping the ring waits for all completions.
        unsafe { self.push(&entry.user_data(number as u64)) }
    }

    /// Submits what was started, and waits for a completion, the doorbell, or the end of `timeout`.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if !self.listening {
            let events = u32::try_from(libc::POLLIN).map_err(io::Error::other)?;
            // The poll stays active, and the counter need not be read: each kick is an event.
            let entry = opcode::PollAdd::new(self.doorbell, events).multi(true).build().user_data(DOORBELL);
            // SAFETY: the entry points to nothing.
            unsafe { self.push(&entry)? };
            self.listening = true;
        }
        let submitter = self.uring.submitter();
        let waited = match timeout.map(Timespec::from) {
            None => submitter.submit_and_wait(1),
            Some(timeout) => submitter.submit_with_args(1, &SubmitArgs::new().timespec(&timeout)),
        };
        match waited {
            // ETIME: the timeout; EBUSY, EAGAIN: there are completions to take first.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
                ) =>
            {
                Ok(())
            }
            waited => waited.map(drop),
        }
    }

    /// Takes a request that the kernel has ended, with the bytes moved or an error.
    pub(crate) fn next_done(&mut self) -> Option<(Request<'m, R>, io::Result<usize>)> {
        loop {
            let done = self.uring.completion().next()?;
            if done.user_data() == DOORBELL {
                self.listening = cqueue::more(done.flags());
                continue;
            }
            if done.user_data() == CANCEL {
                continue;
            }
            let number = usize::try_from(done.user_data()).ok()?;
            let slot = self.slots.get_mut(number)?;
            let moved = usize::try_from(done.result());
            let mut ended = moved.map_err(|_| io::Error::from_raw_os_error(-done.result()));
            if let Ok(moved) = &mut ended {
                slot.moved += *moved;
                let goes_on = *moved == SLICE && slot.moved < slot.len() && !self.cancelled;
                *moved = slot.moved;
                if goes_on {
                    match self.start_part(number) {
                        Ok(()) => continue,
                        Err(error) => ended = Err(error),
                    }
                }
            }
            self.free.push(number);
            return Some((self.slots[number].request.take()?, ended));
        }
    }

    /// Cancels the requests: those that the kernel has not begun, and those that wait. No further part of any is submitted.
    fn cancel(&mut self) {
        self.cancelled = true;
        let busy = self.slots.iter().enumerate().filter(|(_, slot)| slot.request.is_some());
        let busy: Vec<_> = busy.map(|(number, _)| number as u64).collect();
        for number in busy {
            // A cancellation has no file. The flag is there because a modern ring takes nothing without it.
            let entry = opcode::AsyncCancel::new(number).build().flags(Flags::FIXED_FILE).user_data(CANCEL);
            // SAFETY: the entry points to nothing.
            if let Err(error) = unsafe { self.push(&entry) } {
                // The request ends by itself, only later.
                log::debug!("can't cancel a disk's request: {error}");
            }
        }
    }

    /// Returns true while the kernel works on something.
    pub(crate) fn is_busy(&self) -> bool {
        self.free.len() < self.slots.len()
    }

    /// Puts `entry` on the ring.
    ///
    /// # Safety
    ///
    /// The memory that it points to stays valid until its completion was taken.
    unsafe fn push(&mut self, entry: &Entry) -> io::Result<()> {
        loop {
            // SAFETY: as this function's.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.uring.submit()?;
        }
    }
}

impl<R> Drop for Ring<'_, R> {
    /// Waits until the kernel is done with guest memory.
    fn drop(&mut self) {
        self.cancel();
        while self.is_busy() {
            if let Err(error) = self.wait(None) {
                // Nothing else may use the memory now, and there is no way to learn when it may.
                log::error!("can't wait for a disk's requests: {error}");
                std::process::abort();
            }
            while self.next_done().is_some() {}
        }
    }
}

impl<R> Slot<'_, R> {
    fn new() -> Self {
        Self { request: None, job: Job::default(), moved: 0, iovecs: Vec::new() }
    }

    /// The number of bytes of the slot's request.
    fn len(&self) -> usize {
        self.request.as_ref().map_or(0, Request::len)
    }

    /// The ring's entry for the next part of the request.
    fn entry(&mut self) -> io::Result<Entry> {
        let (Some(request), Job::Transfer { direction, file, offset, stable }) = (&self.request, self.job)
        else {
            return Ok(opcode::Fsync::new(Fixed(0)).flags(FsyncFlags::DATASYNC).build());
        };
        let (file, offset) = (fixed(file)?, offset + self.moved as u64);
        let flags = if stable { libc::RWF_DSYNC } else { 0 };
        let buffers = &request.data;
        if let [buffer] = buffers.as_slice() {
            let left = buffer.subslice(self.moved, buffer.len().saturating_sub(self.moved).min(SLICE));
            let left = left.map_err(io::Error::other)?;
            let (address, len) =
                (left.ptr_guard_mut().as_ptr(), u32::try_from(left.len()).map_err(io::Error::other)?);
            return Ok(match direction {
                Direction::Read => opcode::Read::new(file, address, len).offset(offset).build(),
                Direction::Write => {
                    opcode::Write::new(file, address, len).offset(offset).rw_flags(flags).build()
                }
            });
        }
        self.iovecs.clear();
        self.iovecs.extend(
            buffers
                .range(self.moved, SLICE)
                .map(|it| iovec { iov_base: it.ptr_guard_mut().as_ptr().cast(), iov_len: it.len() }),
        );
        let count = u32::try_from(self.iovecs.len()).map_err(io::Error::other)?;
        let iovecs = self.iovecs.as_ptr();
        Ok(match direction {
            Direction::Read => opcode::Readv::new(file, iovecs, count).offset(offset).build(),
            Direction::Write => {
                opcode::Writev::new(file, iovecs, count).offset(offset).rw_flags(flags).build()
            }
        })
    }
}

/// The operations that a ring accepts, which can't be changed later: only operations on registered files. For cancellations, this works
/// only if the kernel knows such a flag for them.
fn restrictions(is_modern: bool) -> Vec<Restriction> {
    const OPERATIONS: [u8; 7] = [
        opcode::Read::CODE,
        opcode::Write::CODE,
        opcode::Readv::CODE,
        opcode::Writev::CODE,
        opcode::Fsync::CODE,
        opcode::PollAdd::CODE,
        opcode::AsyncCancel::CODE,
    ];
    let fixed = Flags::FIXED_FILE.bits();
    let files = if is_modern {
        Restriction::sqe_flags_required(fixed)
    } else {
        Restriction::sqe_flags_allowed(fixed)
    };
    OPERATIONS.map(Restriction::sqe_op).into_iter().chain([files]).collect()
}

/// Makes a ring with as many flags as this kernel knows: each saves interruptions of the thread. The ring has still to be enabled. The
/// second value is true from Linux 5.19 on.
fn set_up(depth: u16) -> io::Result<(IoUring, bool)> {
    let entries = u32::from(depth.clamp(1, MAX_ENTRIES));
    let flags: [fn(&mut Builder); 3] = [
        |ring| {
            // Linux 6.1: completions are processed when the thread asks for them.
            ring.setup_single_issuer().setup_defer_taskrun();
        },
        |ring| {
            // Linux 5.19: completions don't interrupt the thread.
            ring.setup_coop_taskrun();
        },
        |_| {},
    ];
    let mut refused = io::Error::from(ErrorKind::Unsupported);
    for (at, flags) in flags.into_iter().enumerate() {
        let mut builder = IoUring::builder();
        builder.setup_r_disabled();
        // Room for all requests, and for several rings of the doorbell.
        flags(builder.setup_cqsize(2 * u32::from(depth.max(MAX_ENTRIES))));
        match builder.build(entries) {
            // Linux 5.13 has this feature, and polls that stay active.
            Ok(ring) if ring.params().is_feature_resource_tagging() => return Ok((ring, at < 2)),
            Ok(_) => return Err(ErrorKind::Unsupported.into()),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn fixed(index: usize) -> io::Result<Fixed> {
    u32::try_from(index).map(Fixed).map_err(io::Error::other)
}

#[cfg(test)]
#[path = "ring_test.rs"]
mod tests;
