//! What the thread behind a queue does.

use std::{
    io,
    os::fd::AsRawFd,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arch::memory::GuestRam;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::{
    epoll::{ControlOperation, Epoll, EpollEvent, EventSet},
    eventfd::EventFd,
};

use super::{
    BlockOptions, Engine,
    executor::Executor,
    limit::Limiter,
    now::Now,
    request::{Request, RequestError},
    ring::Ring,
};
use crate::virtio::{
    device::{ActiveQueue, Notify},
    queue::{Chain, QueueError, Rings},
    worker::{Stop, Worker},
};

/// How many requests are answered, each at once, before the driver is told.
const MOST_UNHEARD_OF: u32 = 32;

/// What the thread owns.
#[derive(Debug)]
struct Work<'m> {
    index: u16,
    rings: Rings<'m>,
    notify: Arc<dyn Notify>,
    executor: Executor,
    limits: Option<Arc<Limiter>>,
    kick: EventFd,
    /// The driver was told to kick when it makes something available.
    kicks_wanted: bool,
    stop: Stop,
}

/// What a worker does next.
enum Next<'m> {
    Request(Request<'m>),
    /// Throttled: try again after this long.
    Later(Duration),
    /// Wait for the driver.
    Nothing,
}

/// Why a queue stops before it is told to.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("can't wait for the driver")]
    Wait(#[source] io::Error),
    #[error("can't start a request")]
    Start(#[source] io::Error),
}

/// Starts a thread that serves `queue` with `executor` until `stop` is set; then it gives the queue back, unless its driver
/// has broken it.
///
/// # Errors
///
/// No descriptor or no thread is to be had.
pub(super) fn spawn(
    queue: ActiveQueue,
    event_idx: bool,
    memory: GuestRam,
    notify: Arc<dyn Notify>,
    executor: Executor,
    options: &BlockOptions,
    stop: Stop,
) -> io::Result<Worker<Option<Queue>>> {
    let ActiveQueue { index, mut queue, kick } = queue;
    queue.set_event_idx(event_idx);
    let file = Path::new(executor.disk().name()).file_name().unwrap_or_default();
    let name = format!("blk{index} {}", file.display());
    let (engine, limits) = (options.engine, options.limits.clone());
    let (wake, for_panics, stops) = (kick.try_clone()?, Arc::clone(&notify), stop.clone());
    let work = move || {
        // The transport has found the rings in memory, or the queue would not be there.
        let rings = Rings::new(queue, &memory).inspect_err(|_| notify.needs_reset()).ok()?;
        // Ignore notification flags left by a previous owner.
        let work = Work { index, rings, notify, executor, limits, kick, kicks_wanted: false, stop: stops };
        work.run(engine)
    };
    Worker::spawn(name, stop, &wake, for_panics, work)
}

impl<'m> Work<'m> {
    fn run(mut self, engine: Engine) -> Option<Queue> {
        let served = match self.ring(engine) {
            Some(mut ring) => self.serve_by(&mut ring),
            None => self.serve(),
        };
        if let Err(error) = served {
            self.executor.faults().driver(self.executor.disk().name(), self.index, &error);
            self.notify.needs_reset();
            return None;
        }
        Some(self.rings.into_queue())
    }

    /// The ring to serve by, where the engine and the disk's format allow it.
    fn ring(&self, engine: Engine) -> Option<Ring<'m>> {
        let files = self.executor.disk().files();
        if engine == Engine::Threads || files.is_empty() {
            return None;
        }
        let ring = Ring::new(self.rings.size(), &files, &self.kick);
        ring.inspect_err(|error| self.executor.faults().no_ring(self.executor.disk().name(), error)).ok()
    }

    /// Serves the queue, one request at a time, until told to stop.
    fn serve(&mut self) -> Result<(), WorkError> {
        // Edge-triggered: each kick wakes the thread, and the counter need not be read.
        let kicks = Epoll::new().map_err(WorkError::Wait)?;
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
        kicks.ctl(ControlOperation::Add, self.kick.as_raw_fd(), event).map_err(WorkError::Wait)?;
        let mut now = Now::default();
        // The driver has not heard of these.
        let mut answered = 0;
        loop {
            let pause = loop {
                let request = match self.next()? {
                    Next::Request(request) => request,
                    Next::Later(pause) => break Some(pause),
                    Next::Nothing => break None,
                };
                let job = self.executor.job(&request);
                let done = job.and_then(|job| now.transfer(&self.executor, &request, job, true));
                let waits = done.is_none();
                if waits && answered > 0 {
                    self.interrupt()?;
                    answered = 0;
                }
                let answer = match done {
                    Some(done) => self.executor.finish(request, done),
                    None => self.executor.execute(request),
                };
                if let Some((head, written)) = answer {
                    self.rings.push(head, written)?;
                    answered += 1;
                }
                if waits && answered > 0 || answered == MOST_UNHEARD_OF {
                    self.interrupt()?;
                    answered = 0;
                }
            };
            if answered > 0 {
                self.interrupt()?;
                answered = 0;
            }
            if self.stop.is_set() {
                return Ok(());
            }
            match kicks.wait(millis(pause), &mut [EpollEvent::default()]) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(WorkError::Wait(error));
                }
                _ => {}
            }
        }
    }

    /// Serves the queue, with as many requests at a time as it holds, until told to stop.
    fn serve_by(&mut self, ring: &mut Ring<'m>) -> Result<(), WorkError> {
        let mut now = Now::default();
        loop {
            let mut answered = 0;
            let pause = loop {
                // A full ring needs no kick to go on: a completion will come.
                if !ring.has_room() {
                    break None;
                }
                let request = match self.next()? {
                    Next::Request(request) => request,
                    Next::Later(pause) => break Some(pause),
                    Next::Nothing => break None,
                };
                let alone = self.rings.seen() == 0 && !ring.is_busy();
                let answer = match self.executor.job(&request) {
                    None => self.executor.execute(request),
                    Some(job) => match now.transfer(&self.executor, &request, job, alone) {
                        Some(done) => self.executor.finish(request, done),
                        None => {
                            ring.start(request, job).map_err(WorkError::Start)?;
                            None
                        }
                    },
                };
                if let Some((head, written)) = answer {
                    self.rings.push(head, written)?;
                    answered += 1;
                }
                if answered == MOST_UNHEARD_OF {
                    self.interrupt()?;
                    answered = 0;
                }
            };
            if answered > 0 {
                self.interrupt()?;
            }
            if self.stop.leaves_requests() || self.stop.is_set() && !ring.is_busy() {
                return Ok(());
            }
            ring.wait(pause).map_err(WorkError::Wait)?;
            let mut finished = false;
            while let Some((request, done)) = ring.next_done() {
                if let Some((head, written)) = self.executor.finish(request, done) {
                    self.rings.push(head, written)?;
                    finished = true;
                }
            }
            if finished {
                self.interrupt()?;
            }
        }
    }

    /// What there is to do next. The driver is told not to kick as long as there are requests. One that the limits don't
    /// let through yet stays on the queue.
    fn next(&mut self) -> Result<Next<'m>, WorkError> {
        if self.stop.is_set() {
            return Ok(Next::Nothing);
        }
        let Some(chain) = self.pop()? else { return Ok(Next::Nothing) };
        let request = Request::parse(chain)?;
        let Some(limits) = &self.limits else { return Ok(Next::Request(request)) };
        let bytes = (request.data_in.len() + request.data_out.len()) as u64;
        match limits.take(Instant::now(), bytes) {
            Err(pause) => {
                self.rings.put_back();
                Ok(Next::Later(pause))
            }
            Ok(()) => Ok(Next::Request(request)),
        }
    }

    /// Takes the next chain off the queue. If there is none, the driver will kick.
    fn pop(&mut self) -> Result<Option<Chain<'m>>, QueueError> {
        loop {
            if let Some(chain) = self.rings.pop()? {
                if self.kicks_wanted {
                    self.rings.disable_kicks()?;
                    self.kicks_wanted = false;
                }
                return Ok(Some(chain));
            }
            if self.kicks_wanted {
                return Ok(None);
            }
            // What came before the driver can know that is still to be seen.
            self.rings.enable_kicks()?;
            self.kicks_wanted = true;
        }
    }

    /// Interrupts the driver for what was answered, if it wants that.
    fn interrupt(&mut self) -> Result<(), QueueError> {
        if self.rings.wants_interrupt()? {
            self.notify.used(self.index);
        }
        Ok(())
    }
}

/// What epoll takes for `pause`: whole milliseconds, no shorter, or for ever.
fn millis(pause: Option<Duration>) -> i32 {
    pause.map_or(-1, |pause| i32::try_from(pause.as_micros().div_ceil(1000)).unwrap_or(i32::MAX))
}
