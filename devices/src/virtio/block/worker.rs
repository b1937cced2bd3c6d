//! The thread behind a queue.

use std::{
    io,
    os::fd::AsRawFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::{
    epoll::{ControlOperation, Epoll, EpollEvent, EventSet},
    eventfd::EventFd,
};

use super::{
    executor::Executor,
    request::{Request, RequestError},
};
use crate::virtio::{
    device::{ActiveQueue, Notify},
    queue::{self, QueueError},
};

/// A running thread that owns a queue. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub(super) struct Worker {
    stop: Arc<AtomicBool>,
    kick: EventFd,
    thread: Option<JoinHandle<()>>,
}

/// What the thread owns.
#[derive(Debug)]
struct Work {
    index: u16,
    queue: Queue,
    memory: GuestMemoryMmap,
    notify: Arc<dyn Notify>,
    executor: Executor,
    kicks: Epoll,
    stop: Arc<AtomicBool>,
    /// Keeps what `kicks` waits for open.
    _kick: EventFd,
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
}

impl Worker {
    /// Starts a thread that serves `queue` with `executor`.
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
    ) -> io::Result<Self> {
        let ActiveQueue { index, mut queue, kick } = queue;
        queue.set_event_idx(event_idx);

        // Edge-triggered: each kick wakes the thread, and the counter need not be read.
        let kicks = Epoll::new()?;
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
        kicks.ctl(ControlOperation::Add, kick.as_raw_fd(), event)?;

        let stop = Arc::new(AtomicBool::new(false));
        let file = Path::new(executor.disk().name()).file_name().unwrap_or_default();
        let name = format!("blk{index} {}", file.display());
        let worker_kick = kick.try_clone()?;
        let work =
            Work { index, queue, memory, notify, executor, kicks, stop: Arc::clone(&stop), _kick: kick };
        let thread = thread::Builder::new().name(name).spawn(move || work.run())?;
        Ok(Self { stop, kick: worker_kick, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Err(error) = self.kick.write(1) {
            log::error!("can't wake a disk's worker: {error}");
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("a disk's worker panicked");
        }
    }
}

impl Work {
    fn run(mut self) {
        if let Err(error) = self.serve() {
            self.executor.faults().driver(self.executor.disk().name(), self.index, &error);
            self.notify.needs_reset();
        }
    }

    /// Serves the queue until told to stop.
    fn serve(&mut self) -> Result<(), WorkError> {
        while !self.stopped() {
            self.serve_available()?;
            self.wait()?;
        }
        Ok(())
    }

    /// Serves what is available, until there is no more or told to stop.
    fn serve_available(&mut self) -> Result<(), WorkError> {
        loop {
            self.queue.disable_notification(&self.memory).map_err(QueueError::Ring)?;
            while !self.stopped()
                && let Some(chain) = queue::pop(&mut self.queue, &self.memory)?
            {
                let (head, written) = self.executor.execute(Request::parse(chain)?);
                if queue::push(&mut self.queue, &self.memory, head, written)? {
                    self.notify.used(self.index);
                }
            }
            let more = self.queue.enable_notification(&self.memory).map_err(QueueError::Ring)?;
            if !more || self.stopped() {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> Result<(), WorkError> {
        match self.kicks.wait(-1, &mut [EpollEvent::default()]) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(WorkError::Wait(error)),
            _ => Ok(()),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
