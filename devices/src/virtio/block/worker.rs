//! What the thread behind a queue does.

use std::{
    io,
    os::fd::AsRawFd,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::{
    epoll::{ControlOperation, Epoll, EpollEvent, EventSet},
    eventfd::EventFd,
};

use super::{
    BlockOptions, Engine,
    executor::Executor,
    limit::Limiter,
    request::{Request, RequestError},
    ring::Ring,
};
use crate::virtio::{
    device::{ActiveQueue, Notify},
    queue::{self, Chain, QueueError},
    worker::{Stop, Worker},
};

/// What the thread owns.
#[derive(Debug)]
struct Work {
    index: u16,
    queue: Queue,
    notify: Arc<dyn Notify>,
    executor: Executor,
    engine: Engine,
    limits: Option<Arc<Limiter>>,
    kick: EventFd,
    /// The driver was told to kick when it makes something available.
    kicks_wanted: bool,
    stop: Stop,
}

/// What a worker does next.
enum Next<'m> {
    Request(Request<'m>),
    /// Something, after a while.
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

/// Starts a thread that serves `queue` with `executor` until `stop` is set; then it gives the queue back.
///
/// # Errors
///
/// No descriptor or no thread is to be had.
pub(super) fn spawn(
    queue: ActiveQueue,
    event_idx: bool,
    memory: GuestMemoryMmap,
    notify: Arc<dyn Notify>,
    executor: Executor,
    options: &BlockOptions,
    stop: Stop,
) -> io::Result<Worker<Queue>> {
    let ActiveQueue { index, mut queue, kick } = queue;
    queue.set_event_idx(event_idx);
    let file = Path::new(executor.disk().name()).file_name().unwrap_or_default();
    let name = format!("blk{index} {}", file.display());
    let wake = kick.try_clone()?;
    let work = Work {
        index,
        queue,
        notify: Arc::clone(&notify),
        executor,
        engine: options.engine,
        limits: options.limits.clone(),
        kick,
        // What the ring says of that by now is not the device's.
        kicks_wanted: false,
        stop: stop.clone(),
    };
    Worker::spawn(name, stop, &wake, notify, move || work.run(&memory))
}

impl Work {
    fn run(mut self, memory: &GuestMemoryMmap) -> Queue {
        let served = match self.ring() {
            Some(mut ring) => self.serve_by(&mut ring, memory),
            None => self.serve(memory),
        };
        if let Err(error) = served {
            self.executor.faults().driver(self.executor.disk().name(), self.index, &error);
            self.notify.needs_reset();
        }
        self.queue
    }

    /// The ring to serve by, where the engine and the disk's format allow it.
    fn ring<'m>(&self) -> Option<Ring<'m>> {
        let files = self.executor.disk().files();
        if self.engine == Engine::Threads || files.is_empty() {
            return None;
        }
        let ring = Ring::new(self.queue.size(), &files, &self.kick);
        ring.inspect_err(|error| self.executor.faults().no_ring(self.executor.disk().name(), error)).ok()
    }

    /// Serves the queue, one request at a time, until told to stop.
    fn serve(&mut self, memory: &GuestMemoryMmap) -> Result<(), WorkError> {
        // Edge-triggered: each kick wakes the thread, and the counter need not be read.
        let kicks = Epoll::new().map_err(WorkError::Wait)?;
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
        kicks.ctl(ControlOperation::Add, self.kick.as_raw_fd(), event).map_err(WorkError::Wait)?;
        let mut held = None;
        loop {
            let pause = loop {
                match self.next(&mut held, memory)? {
                    Next::Request(request) => {
                        if let Some(answer) = self.executor.execute(request) {
                            self.answer(memory, answer)?;
                            self.interrupt(memory)?;
                        }
                    }
                    Next::Later(pause) => break Some(pause),
                    Next::Nothing => break None,
                }
            };
            if self.stopped() {
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
    fn serve_by<'m>(&mut self, ring: &mut Ring<'m>, memory: &'m GuestMemoryMmap) -> Result<(), WorkError> {
        let mut held = None;
        loop {
            let mut answered = false;
            let pause = loop {
                // A full ring needs no kick to go on: a completion will come.
                if !ring.has_room() {
                    break None;
                }
                match self.next(&mut held, memory)? {
                    Next::Request(request) => match self.executor.job(&request) {
                        Some(job) => ring.start(request, job).map_err(WorkError::Start)?,
                        None => {
                            if let Some(answer) = self.executor.execute(request) {
                                self.answer(memory, answer)?;
                                answered = true;
                            }
                        }
                    },
                    Next::Later(pause) => break Some(pause),
                    Next::Nothing => break None,
                }
            };
            if answered {
                self.interrupt(memory)?;
            }
            if self.stopped() {
                return Ok(());
            }
            ring.wait(pause).map_err(WorkError::Wait)?;
            answered = false;
            while let Some((request, done)) = ring.next_done() {
                if let Some(answer) = self.executor.finish(request, done) {
                    self.answer(memory, answer)?;
                    answered = true;
                }
            }
            if answered {
                self.interrupt(memory)?;
            }
        }
    }

    /// What there is to do next. The driver is told not to kick as long as there are requests. One that the limits don't
    /// let through yet is `held`.
    fn next<'m>(
        &mut self,
        held: &mut Option<Request<'m>>,
        memory: &'m GuestMemoryMmap,
    ) -> Result<Next<'m>, WorkError> {
        if self.stopped() {
            return Ok(Next::Nothing);
        }
        let request = match held.take() {
            Some(request) => request,
            None => match self.pop(memory)? {
                Some(chain) => Request::parse(chain)?,
                None => return Ok(Next::Nothing),
            },
        };
        let bytes = (request.data_in.len() + request.data_out.len()) as u64;
        match self.limits.as_ref().map(|limits| limits.take(Instant::now(), bytes)) {
            Some(Err(pause)) => {
                *held = Some(request);
                Ok(Next::Later(pause))
            }
            _ => Ok(Next::Request(request)),
        }
    }

    /// Takes the next chain off the queue. If there is none, the driver will kick.
    fn pop<'m>(&mut self, memory: &'m GuestMemoryMmap) -> Result<Option<Chain<'m>>, QueueError> {
        loop {
            if let Some(chain) = queue::pop(&mut self.queue, memory)? {
                if self.kicks_wanted {
                    self.queue.disable_notification(memory).map_err(QueueError::Ring)?;
                    self.kicks_wanted = false;
                }
                return Ok(Some(chain));
            }
            if self.kicks_wanted {
                return Ok(None);
            }
            // What came before the driver can know that is still to be seen.
            self.queue.enable_notification(memory).map_err(QueueError::Ring)?;
            self.kicks_wanted = true;
        }
    }

    fn answer(&mut self, memory: &GuestMemoryMmap, (head, written): (u16, u32)) -> Result<(), QueueError> {
        queue::push(&mut self.queue, memory, head, written)
    }

    /// Interrupts the driver for what was answered, if it wants that.
    fn interrupt(&mut self, memory: &GuestMemoryMmap) -> Result<(), QueueError> {
        if queue::wants_interrupt(&mut self.queue, memory)? {
            self.notify.used(self.index);
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stop.is_set()
    }
}

/// What epoll takes for `pause`: whole milliseconds, no shorter, or for ever.
fn millis(pause: Option<Duration>) -> i32 {
    pause.map_or(-1, |pause| i32::try_from(pause.as_micros().div_ceil(1000)).unwrap_or(i32::MAX))
}
