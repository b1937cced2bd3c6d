//! A port's thread: it takes commands, has the drive carry them out, and reports to the driver.
//!
//! ```text
//! PxCI ──▶ take ──▶ Command::read ──▶ Drive::step ──▶ Ring or Executor ──▶ finish: a frame, PxCI or PxSACT, PxIS
//!  ▲         │ none: kick me                               │ failed
//!  └─────────┴──────────────── wait                        └──▶ fail: the port halts until it is started anew
//! ```

use std::{
    io,
    os::fd::AsRawFd,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::{
    cdrom, disk,
    drive::{Drive, Kind},
    fis::{CommandFis, TaskFile},
    registers::{Error, SLOTS},
    shared::{Protocol, Shared},
    step::Step,
    table::{Command, NoMemory},
};
use crate::{
    block::{CacheMode, Engine, Executor, Now, Operation, Refusal, Reply, Request, Ring, WriteCache},
    buffers::{Buffers, Regions},
    disk::Disk,
    threads::{self, Role},
    worker::{Stop, millis},
};

/// The thread's part of a port, which lives from the driver's start of the port to its stop.
#[derive(Debug)]
pub(super) struct Work {
    shared: Arc<Shared>,
    drive: Arc<Drive>,
    stop: Stop,
    now: Now,
    /// A bit for each queued command at the disk, and a flag for a command that is not queued.
    queued: u32,
    alone: bool,
    /// Queued commands that are complete, but not reported to the driver yet.
    done: u32,
}

/// A command on its way through the disk.
#[derive(Debug)]
struct Ticket {
    slot: u8,
    fis: CommandFis,
    protocol: Protocol,
    /// Bytes of its data.
    len: usize,
    failure: Error,
}

impl Reply for Ticket {
    type Answer = (Self, Result<usize, Refusal>);

    fn complete(self, result: Result<usize, Refusal>) -> Self::Answer {
        (self, result)
    }
}

/// A command for the disk. A CD-ROM drive's comes with an executor for the medium.
type Begun<'m> = (Request<'m, Ticket>, Option<Box<Executor>>);

/// An error that halts the port.
#[derive(Debug)]
enum Fault {
    /// A command failed.
    Command(u8, TaskFile, Protocol),
    /// The command in this slot is not in memory.
    Memory(u8, NoMemory),
    /// Waiting for the driver or for the host failed.
    Host(io::Error),
}

impl Work {
    pub(super) fn new(shared: Arc<Shared>, drive: Arc<Drive>, stop: Stop) -> Self {
        Self { shared, drive, stop, now: Now::default(), queued: 0, alone: false, done: 0 }
    }

    /// The thread's name.
    pub(super) fn role(&self) -> Role {
        let file = Path::new(self.drive.name()).file_name().unwrap_or_default();
        Role::Disk(format!("ata{} {}", self.shared.number, file.display()))
    }

    /// Serves the port until told to stop, or until a command fails.
    pub(super) fn run(mut self) {
        let memory = self.shared.memory.clone();
        self.shared.begin();
        // Before the driver is notified of a fault, the ring is gone, and with it whatever still touches memory.
        let served = self.serve(&Regions::new(&memory));
        self.ended(served);
    }

    /// Serves what is there already, without a ring.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn run_once(mut self) {
        let memory = self.shared.memory.clone();
        let executor = self.executor();
        let served = self.serve_all(&Regions::new(&memory), executor.as_ref(), &mut None, &mut None);
        self.ended(served.map(drop));
    }

    /// Reports to the driver how the thread ended.
    fn ended(&mut self, served: Result<(), Fault>) {
        self.tell();
        match served {
            Ok(()) => {}
            Err(Fault::Command(slot, end, protocol)) => self.shared.fail(&self.stop, slot, end, protocol),
            Err(Fault::Memory(slot, error)) => {
                self.say(&error);
                self.shared.fail_bus(&self.stop, slot);
            }
            Err(Fault::Host(error)) => {
                self.say(&error);
                self.shared.fail_bus(&self.stop, 0);
            }
        }
    }

    fn say(&self, error: &dyn std::error::Error) {
        let part = format_args!("SATA port {}", self.shared.number);
        self.drive.lasting().faults.driver(self.drive.name(), part, error);
    }

    fn serve<'m>(&mut self, regions: &Regions<'m>) -> Result<(), Fault> {
        let executor = self.executor();
        let mut ring = executor.as_ref().and_then(|executor| self.ring(executor.disk()));
        threads::is_ready(&self.role());
        let kicks = Kicks::new(&self.shared)?;
        let mut waiting = None;
        loop {
            let pause = self.serve_all(regions, executor.as_ref(), &mut ring, &mut waiting);
            self.tell();
            let pause = pause?;
            let busy = ring.as_ref().is_some_and(Ring::is_busy);
            if self.stop.leaves_requests() || self.stop.is_set() && !busy {
                return Ok(());
            }
            match &mut ring {
                None => kicks.wait(pause)?,
                Some(ring) => {
                    ring.wait(pause).map_err(Fault::Host)?;
                    while let Some((request, done)) = ring.next_done() {
                        let answer = executor.as_ref().and_then(|executor| executor.finish(request, done));
                        self.end(answer)?;
                    }
                    self.tell();
                }
            }
        }
    }

    /// Serves all that is there. Returns how long to wait if a limit delays the next command.
    fn serve_all<'m>(
        &mut self,
        regions: &Regions<'m>,
        own: Option<&Executor>,
        ring: &mut Option<Ring<'m, Ticket>>,
        waiting: &mut Option<Begun<'m>>,
    ) -> Result<Option<Duration>, Fault> {
        loop {
            if self.alone || ring.as_ref().is_some_and(|ring| !ring.has_room()) {
                return Ok(None);
            }
            let (request, medium) = match waiting.take() {
                Some(held) => held,
                None => {
                    let Some(slot) = self.shared.take(&self.stop, self.queued > 0) else { return Ok(None) };
                    let Some(begun) = self.begin(slot, regions)? else { continue };
                    begun
                }
            };
            if self.stop.is_set() {
                return Ok(None);
            }
            if let Err(pause) = self.let_through(request.reply.len) {
                *waiting = Some((request, medium));
                return Ok(Some(pause));
            }
            let Some(executor) = medium.as_deref().or(own) else { return Ok(None) };
            if request.reply.protocol == Protocol::Queued {
                self.shared.accept(&self.stop, request.reply.slot);
                self.queued += 1;
            } else {
                self.alone = true;
            }
            let is_only = ring.as_ref().is_none_or(|ring| !ring.is_busy());
            let answer = match (executor.job(&request), &mut *ring) {
                (Some(job), ring) => match (self.now.transfer(executor, &request, job, is_only), ring) {
                    (Some(done), _) => executor.finish(request, done),
                    (None, Some(ring)) if medium.is_none() => {
                        ring.start(request, job).map_err(Fault::Host)?;
                        continue;
                    }
                    (None, _) => executor.execute(request),
                },
                (None, _) => executor.execute(request),
            };
            self.end(answer)?;
        }
    }

    /// Reads the command in a slot. Returns the request for the disk; a command that needs no disk is completed here.
    fn begin<'m>(&self, slot: u8, regions: &Regions<'m>) -> Result<Option<Begun<'m>>, Fault> {
        let memory = |error| Fault::Memory(slot, error);
        let command = Command::read(regions, self.shared.header_address(slot)).map_err(memory)?;
        let fis = command.fis;
        let refuse = |error| Fault::Command(slot, TaskFile::failed(&fis, error), Protocol::Plain);
        if !fis.is_for_drive() {
            return Err(refuse(Error::ABORT));
        }
        if !fis.is_command() {
            if fis.resets() {
                self.drive.reset(false);
            }
            self.shared.finish_control(&self.stop, slot, fis.resets(), self.drive.signature());
            return Ok(None);
        }
        let step = self.drive.step(&fis, command.packet.as_ref());
        // Serial ATA: a command that is not queued aborts all that are.
        let is_queued = matches!(step, Step::Transfer { protocol: Protocol::Queued, .. });
        if self.queued > 0 && !is_queued {
            return Err(refuse(Error::ABORT));
        }
        let begun = |operation, data: Buffers<'m>, len, protocol, medium| {
            let failure = match operation {
                Operation::Read { .. } => Error::UNCORRECTABLE,
                _ => Error::ABORT,
            };
            let reply = Ticket { slot, fis, protocol, len, failure };
            Ok(Some((Request { operation, data, reply }, medium)))
        };
        match step {
            Step::Transfer { operation, len, protocol } => {
                let data = command.data(regions, len).map_err(memory)?;
                if data.len() < len {
                    return Err(self.refused(slot, &fis, protocol));
                }
                begun(operation, data, len, protocol, None)
            }
            Step::Medium { disk, sector, len } => {
                let data = command.data(regions, len).map_err(memory)?;
                if data.len() < len {
                    return Err(refuse(Error::ABORT));
                }
                let executor = self.medium_executor(disk);
                begun(Operation::Read { sector }, data, len, Protocol::Plain, Some(Box::new(executor)))
            }
            Step::Trim { len } => {
                let mut data = command.data(regions, len).map_err(memory)?;
                let bytes: Vec<u8> = std::iter::from_fn(|| data.take_front::<8>()).flatten().collect();
                let segments = match &self.drive.0 {
                    Kind::Disk(disk) if bytes.len() == len => disk.trimmed(&bytes),
                    _ => None,
                };
                let segments = segments.ok_or_else(|| refuse(Error::ID_NOT_FOUND | Error::ABORT))?;
                begun(Operation::Discard(Ok(segments)), Buffers::default(), len, Protocol::Plain, None)
            }
            Step::Give { data, protocol } => {
                let room = command.data(regions, data.len()).map_err(memory)?;
                let moved = room.write(&data);
                self.shared.note_data(slot, moved);
                self.shared.finish(&self.stop, slot, self.finished(&fis), protocol, moved);
                Ok(None)
            }
            Step::Done(end) => {
                self.shared.finish(&self.stop, slot, end, Protocol::Plain, 0);
                Ok(None)
            }
            Step::Fail(end) => Err(Fault::Command(slot, end, Protocol::Plain)),
        }
    }

    /// Ends a command that the disk has carried out, or that failed.
    fn end(&mut self, answer: Option<(Ticket, Result<usize, Refusal>)>) -> Result<(), Fault> {
        // None means that the driver has stopped the port and expects nothing.
        let Some((ticket, result)) = answer else { return Ok(()) };
        let Ticket { slot, fis, protocol, len, failure } = ticket;
        match protocol {
            Protocol::Queued => self.queued = self.queued.saturating_sub(1),
            Protocol::Plain | Protocol::PioIn => self.alone = false,
        }
        // Data may have been written even if the command failed.
        self.shared.note_data(slot, len);
        if result.is_err() {
            return Err(match &self.drive.0 {
                Kind::Disk(_) => self.failed(slot, &fis, protocol, failure),
                Kind::Cdrom(cdrom) => Fault::Command(slot, cdrom.unreadable(&fis), protocol),
            });
        }
        match protocol {
            Protocol::Queued => self.done |= 1 << slot,
            _ => self.shared.finish(&self.stop, slot, self.finished(&fis), protocol, len),
        }
        Ok(())
    }

    /// The fault of a command whose data doesn't fit into the memory that it names.
    fn refused(&self, slot: u8, fis: &CommandFis, protocol: Protocol) -> Fault {
        if protocol == Protocol::Queued {
            self.shared.accept(&self.stop, slot);
        }
        self.failed(slot, fis, protocol, Error::ABORT)
    }

    /// The fault of a command that the disk failed. For a queued one, the details are kept for the driver.
    fn failed(&self, slot: u8, fis: &CommandFis, protocol: Protocol, error: Error) -> Fault {
        let end = TaskFile::failed(fis, error);
        if let (Kind::Disk(disk), Protocol::Queued) = (&self.drive.0, protocol) {
            disk.queued_failed(disk::tag(fis), end);
        }
        Fault::Command(slot, end, protocol)
    }

    /// The registers after a command that succeeded.
    fn finished(&self, fis: &CommandFis) -> TaskFile {
        match self.drive.0 {
            Kind::Cdrom(_) => cdrom::finished(fis),
            Kind::Disk(_) => TaskFile::done(fis),
        }
    }

    /// Reports completed queued commands to the driver.
    fn tell(&mut self) {
        let done = std::mem::take(&mut self.done);
        if done != 0 {
            self.shared.finish_queued(&self.stop, done);
        }
    }

    fn let_through(&self, bytes: usize) -> Result<(), Duration> {
        let Some(limiter) = &self.drive.lasting().limiter else { return Ok(()) };
        limiter.take(Instant::now(), bytes as u64)
    }

    /// The executor for a disk's commands.
    fn executor(&self) -> Option<Executor> {
        let Kind::Disk(disk) = &self.drive.0 else { return None };
        let (image, cache) = (Arc::clone(&disk.disk), Arc::clone(&disk.cache));
        Some(Executor::new(0, image, disk.lasting.clone(), cache, self.stop.clone()))
    }

    /// The executor for reading a medium.
    fn medium_executor(&self, disk: Arc<dyn Disk>) -> Executor {
        let cache = Arc::new(WriteCache::new(CacheMode::Writeback));
        Executor::new(0, disk, self.drive.lasting().clone(), cache, self.stop.clone())
    }

    /// The ring, if the engine and the disk's format allow one.
    fn ring<'m>(&self, disk: &dyn Disk) -> Option<Ring<'m, Ticket>> {
        let (lasting, files) = (self.drive.lasting(), disk.files());
        if lasting.options.engine == Engine::Threads || files.is_empty() {
            return None;
        }
        let ring = Ring::new(SLOTS.into(), &files, &self.shared.kick);
        ring.inspect_err(|error| lasting.faults.no_ring(disk.name(), error)).ok()
    }
}

/// A way to wait for the driver's kicks without a ring.
struct Kicks(Epoll);

impl Kicks {
    fn new(shared: &Shared) -> Result<Self, Fault> {
        // Edge-triggered: each kick wakes the thread, and the counter need not be read.
        let kicks = Epoll::new().map_err(Fault::Host)?;
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
        kicks.ctl(ControlOperation::Add, shared.kick.as_raw_fd(), event).map_err(Fault::Host)?;
        Ok(Self(kicks))
    }

    fn wait(&self, pause: Option<Duration>) -> Result<(), Fault> {
        match self.0.wait(millis(pause), &mut [EpollEvent::default()]) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(Fault::Host(error)),
            _ => Ok(()),
        }
    }
}
