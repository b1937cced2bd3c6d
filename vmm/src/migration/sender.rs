//! The source's side: sends memory in rounds while the guest runs, and the rest after it is stopped.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use arch::{layout::PAGE, memory::GuestRam};
use vm_memory::{Bytes, FileOffset, VolatileSlice};

use super::{
    FORMAT, MAGIC,
    connection::{Broken, Connection, Kind, Stop},
    page_set::PageSet,
    progress::{Progress, Status},
    ready::Ready,
};
use crate::{snapshot, sparse::is_zero, untouched::Untouched};

/// The most pages that are sent without asking whether anybody has touched them.
const FEW: u64 = 16;
/// The longest time for the other side to answer, or to read what is sent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time for it to open disks and build the machine.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// The number of pages that are handled together: at most one message.
const AT_ONCE: u64 = 256;
/// The most rounds, and the most successive rounds without leaving fewer pages than any before.
const ROUNDS: u64 = 30;
const VAIN_ROUNDS: u32 = 5;
/// The number of bytes from which on the time that they took shows the connection's speed.
const MEASURABLE: u64 = 1 << 20;

/// Sends memory.
#[derive(Debug)]
pub(crate) struct Sender {
    connection: Connection,
    memory: GuestRam,
    progress: Arc<Progress>,
    untouched: Untouched,
    /// Set when the user has cancelled it, or the machine has ended.
    cancelled: Arc<AtomicBool>,
}

/// The state after almost all memory was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) sender: Sender,
    /// The pages that have changed since they were sent.
    pub(crate) left: PageSet,
}

/// Collects the pages that have changed since the last call.
pub(crate) type Collect = Box<dyn Fn() -> Result<PageSet> + Send>;

impl Sender {
    /// Makes a sender of `memory` on `connection`.
    pub(crate) fn new(
        connection: Connection,
        memory: GuestRam,
        progress: Arc<Progress>,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        Self { connection, memory, progress, untouched: Untouched::open(), cancelled }
    }

    /// Asks the other side whether it can run the machine described by `machine`, and sends memory in rounds until the rest can be sent in
    /// `downtime`, or no longer shrinks.
    ///
    /// # Errors
    ///
    /// The other side refuses, the connection breaks, or the user cancels.
    pub(crate) fn run(mut self, machine: &[u8], downtime: Duration, collect: &Collect) -> Result<Sent> {
        self.begin(machine)?;
        self.progress.facts().status = Status::Active;
        let mut left = PageSet::all(&self.memory);
        let (mut rate, mut least, mut vain) = (0, u64::MAX, 0);
        for _ in 0..ROUNDS {
            let (begun, sent) = (Instant::now(), self.progress.facts().sent);
            self.send_ram(&left)?;
            let took = begun.elapsed();
            left = collect()?;
            let bytes = left.count() * PAGE;
            let mut facts = self.progress.facts();
            let sent = facts.sent - sent;
            if sent >= MEASURABLE || rate == 0 {
                rate = per_second(sent, took);
            }
            let expected = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            facts.rounds += 1;
            (facts.remaining, facts.rate, facts.expected_downtime) = (bytes, rate, Some(expected));
            facts.changed = per_second(left.count(), took);
            if expected <= downtime || bytes < MEASURABLE {
                break;
            }
            vain = if bytes < least { 0 } else { vain + 1 };
            least = least.min(bytes);
            if vain == VAIN_ROUNDS {
                log::info!("the guest writes to memory faster than it can be sent: it is stopped now");
                break;
            }
        }
        Ok(Sent { sender: self, left })
    }

    fn begin(&mut self, machine: &[u8]) -> Result<()> {
        let cancelled = Arc::clone(&self.cancelled);
        let stop: Stop<'_> = &|| cancelled.load(Ordering::SeqCst);
        self.connection.send(Kind::Begin, &[MAGIC, &FORMAT.to_le_bytes()], PATIENCE, stop)?;
        self.connection.send(Kind::Machine, &[machine], PATIENCE, stop)?;
        self.connection.expect(Kind::Welcome, Some(PATIENCE), stop)?;
        Ok(())
    }

    /// Sends pages of RAM.
    pub(crate) fn send_ram(&mut self, pages: &PageSet) -> Result<()> {
        let parts = snapshot::ram(&self.memory);
        for run in pages.runs() {
            for (number, part) in (0..).zip(&parts) {
                let (Some(address), bytes) = (part.address, part.memory.bytes()?) else { continue };
                let file = |offset| part.memory.file_at(offset);
                let first = address / PAGE;
                let end = first + (bytes.len() as u64).div_ceil(PAGE);
                let run = run.start.max(first)..run.end.min(end);
                if run.start < run.end {
                    self.send_pages(number, bytes, &file, run.start - first..run.end - first)?;
                }
            }
        }
        Ok(())
    }

    /// Sends all pages of the part with this number, except for pages of zeros.
    pub(crate) fn send_part(&mut self, number: u32, part: VolatileSlice<'_>) -> Result<()> {
        self.send_pages(number, part, &|_| None, 0..(part.len() as u64).div_ceil(PAGE))
    }

    /// Sends pages of a part. `file` returns the place in a file that an offset is mapped from, if any.
    fn send_pages(
        &mut self,
        number: u32,
        part: VolatileSlice<'_>,
        file: &dyn Fn(u64) -> Option<FileOffset>,
        pages: Range<u64>,
    ) -> Result<()> {
        let page = usize::try_from(PAGE)?;
        let mut buffer = Vec::new();
        let mut first = pages.start;
        while first < pages.end {
            let count = AT_ONCE.min(pages.end - first);
            let start = usize::try_from(first * PAGE)?;
            let len = usize::try_from(count * PAGE)?.min(part.len() - start);
            // Memory that is touched from now on is among what has changed. Reading a few pages, as in later rounds, is quicker
            // than asking.
            if count > FEW && self.untouched.has(&part.subslice(start, len)?, file(start as u64).as_ref()) {
                self.send_run(number, first, count, None)?;
                first += count;
                continue;
            }
            buffer.resize(len, 0);
            part.read_slice(&mut buffer, start)?;
            let mut at = first;
            for run in
                buffer.chunks(page).collect::<Vec<_>>().chunk_by(|one, next| is_zero(one) == is_zero(next))
            {
                let len: usize = run.iter().map(|page| page.len()).sum();
                let offset = usize::try_from(at - first)? * page;
                let bytes = Some(&buffer[offset..offset + len]).filter(|bytes| !is_zero(bytes));
                self.send_run(number, at, run.len() as u64, bytes)?;
                at += run.len() as u64;
            }
            first += count;
        }
        Ok(())
    }

    /// Sends adjacent pages; without `bytes`, they are zeros.
    fn send_run(&mut self, number: u32, first: u64, count: u64, bytes: Option<&[u8]>) -> Result<()> {
        let cancelled = Arc::clone(&self.cancelled);
        let stop: Stop<'_> = &|| cancelled.load(Ordering::SeqCst);
        if self.connection.has_news()? {
            // The other side sends only if it gives up.
            self.connection.receive(Some(PATIENCE), stop)?;
            return Err(Broken::Nonsense("an unexpected message").into());
        }
        let place = [&number.to_le_bytes()[..], &first.to_le_bytes()].concat();
        match bytes {
            None => self.connection.send(Kind::Zeros, &[&place, &count.to_le_bytes()], PATIENCE, stop)?,
            Some(bytes) => self.connection.send(Kind::Pages, &[&place, bytes], PATIENCE, stop)?,
        }
        let mut facts = self.progress.facts();
        if let Some(bytes) = bytes {
            facts.pages += count;
            facts.sent += bytes.len() as u64;
        } else {
            facts.zeros += count;
            facts.sent += place.len() as u64;
        }
        facts.remaining = facts.remaining.saturating_sub(count * PAGE);
        Ok(())
    }

    /// Sends the rest of a stopped machine: how it has to continue, its description, and its state.
    pub(crate) fn send_state(
        &mut self,
        stopped: &[u8],
        machine: &[u8],
        state: &[u8],
        stop: Stop<'_>,
    ) -> Result<()> {
        self.connection.send(Kind::Stopped, &[stopped], PATIENCE, stop)?;
        self.connection.send(Kind::Machine, &[machine], PATIENCE, stop)?;
        self.connection.send(Kind::State, &[state], PATIENCE, stop)?;
        Ok(())
    }

    /// Waits until the other side is ready to run the machine. On the same host, it passes a pipe whose other end belongs to its process.
    pub(crate) fn wait_until_ready(mut self, stop: Stop<'_>) -> Result<Ready> {
        self.connection
            .expect(Kind::Ready, Some(READY_PATIENCE), stop)
            .context("the other side does not get ready")?;
        let lifeline = self.connection.take_passed();
        Ok(Ready { connection: self.connection, lifeline })
    }

    /// Sends the other side the reason why this one gives up.
    pub(crate) fn refuse(self, why: &str) {
        self.connection.refuse(why);
    }
}

fn per_second(count: u64, time: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "sender_test.rs"]
mod tests;
