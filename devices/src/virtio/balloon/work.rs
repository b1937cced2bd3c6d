//! The work on a balloon's queues.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use arch::memory::GuestRam;
use vm_memory::{GuestAddress, GuestMemoryBackend, VolatileSlice};

use super::control::{Control, PAGE_SHIFT, Reclaim};
use crate::{
    virtio::{
        queue::{Buffers, Chain},
        serve::{Handler, Next, ServeError, Served},
    },
    worker::Stop,
};

/// Bytes of page numbers that are read at a time: as many as Linux's driver passes at a time.
const NUMBERS: usize = 256 * size_of::<u32>();

/// The purpose of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Inflate,
    Deflate,
    Report,
}

/// The handler of a queue.
#[derive(Debug)]
pub(super) struct Work {
    job: Job,
    memory: GuestRam,
    reclaim: Arc<dyn Reclaim>,
    control: Arc<Control>,
}

impl Job {
    /// The purpose of the queue with this number.
    pub(super) fn of(queue: u16) -> Self {
        match queue {
            0 => Self::Inflate,
            1 => Self::Deflate,
            _ => Self::Report,
        }
    }
}

impl Work {
    pub(super) fn new(job: Job, memory: GuestRam, reclaim: Arc<dyn Reclaim>, control: Arc<Control>) -> Self {
        Self { job, memory, reclaim, control }
    }

    /// Gives the pages with these `numbers` to the host; `None` if it has to stop before the end. Pages that are no memory are skipped.
    fn inflate(&self, numbers: &Buffers<'_>, stop: &Stop) -> Option<()> {
        for from in (0..numbers.len()).step_by(NUMBERS) {
            go_on(stop)?;
            let (mut bytes, mut len) = ([0; NUMBERS], 0);
            for piece in numbers.range(from, NUMBERS) {
                len += piece.copy_to(&mut bytes[len..]);
            }
            let (numbers, _) = bytes[..len].as_chunks();
            let mut pages: Vec<_> = numbers.iter().copied().map(u32::from_le_bytes).collect();
            pages.sort_unstable();
            pages.dedup();
            for run in pages.chunk_by(|page, next| page.checked_add(1) == Some(*next)) {
                let start = GuestAddress(u64::from(run[0]) << PAGE_SHIFT);
                for memory in self.memory.get_slices(start, run.len() << PAGE_SHIFT).flatten() {
                    self.reclaim(&memory);
                }
            }
        }
        Some(())
    }

    /// Gives the pages in `free` to the host; `None` if it has to stop before the end.
    fn report(&self, free: &Buffers<'_>, stop: &Stop) -> Option<()> {
        free.as_slice().iter().try_for_each(|memory| {
            self.reclaim(memory);
            go_on(stop)
        })
    }

    pub(super) fn reclaim(&self, memory: &VolatileSlice<'_>) {
        let reclaimed = self.reclaim.reclaim(memory);
        // They may have become zeros, even if the host has kept some.
        self.memory.wrote_to(memory);
        match reclaimed {
            Ok(()) => {
                self.control.reclaimed.fetch_add(memory.len() as u64, Ordering::Relaxed);
            }
            Err(error) => self.control.host_refuses.warn(format_args!(
                "balloon: this host does not take pages back that the guest gives up: {error}"
            )),
        }
    }

    /// Does what the chain asks for.
    fn serve<'m>(&self, chain: &Chain<'m>, queue: &mut Served<'m>) -> Result<Next, ServeError> {
        let done = match self.job {
            Job::Inflate => self.inflate(&chain.readable, queue.stop()),
            // Nothing to do: the pages are allocated when they are used.
            Job::Deflate => Some(()),
            Job::Report => self.report(&chain.writable, queue.stop()),
        };
        if done.is_none() {
            return Ok(Next::Again(Duration::ZERO));
        }
        queue.give_back(chain.head, 0)?;
        Ok(Next::Chain)
    }
}

impl Handler for Work {
    fn thread_name(&self, _: u16) -> String {
        format!("balloon {:?}", self.job)
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        queue.serve_with(|chain, queue| self.serve(&chain, queue))
    }

    fn failed(&self, queue: u16, error: &ServeError) {
        let said = &self.control.broken_queue;
        said.warn(format_args!("balloon: queue {queue} stops until the guest resets the device: {error}"));
    }
}

/// `None` if it has to stop.
fn go_on(stop: &Stop) -> Option<()> {
    (!stop.is_set()).then_some(())
}
