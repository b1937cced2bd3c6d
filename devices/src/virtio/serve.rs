//! The worker of a queue: a thread in which the device's [`Handler`] takes chains off it and serves them.
//!
//! ```text
//!   kick ──▶ next() ──▶ serve(chain) ──▶ give_back(head, written) ──▶ tell(): an interrupt, if it is wanted
//!    ▲          │ no more: the driver shall kick                         │
//!    └──────────┴────────────────────── wait ◀───────────────────────────┘
//! ```

use std::{
    error::Error,
    io,
    os::fd::AsRawFd,
    sync::Arc,
    time::{Duration, Instant},
};

use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::{
    epoll::{ControlOperation, Epoll, EpollEvent, EventSet},
    eventfd::EventFd,
};

use super::{
    device::{Activation, ActiveQueue, Halt, Notify},
    queue::{Chain, QueueError, Rings},
};
use crate::{
    threads::Role,
    worker::{Stop, Worker, millis},
};

/// The queue features that workers support, for each device to offer.
pub(super) const RING_FEATURES: u64 = 1 << VIRTIO_RING_F_INDIRECT_DESC | 1 << VIRTIO_RING_F_EVENT_IDX;

/// The most chains that are returned before an interrupt reports them, if more are being served.
const BATCH: u32 = 32;

/// A device's handler of a queue.
pub(super) trait Handler: Send + 'static {
    /// The name of the thread that serves the queue with number `queue`.
    fn thread_name(&self, queue: u16) -> String;

    /// The role of that thread.
    fn role(&self, queue: u16) -> Role {
        Role::Queue(self.thread_name(queue))
    }

    /// Serves `queue` until told to stop, mostly by [`Served::serve_with`].
    ///
    /// # Errors
    ///
    /// The driver sends an invalid request, or waiting for the driver fails: the device needs a reset.
    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError>;

    /// Logs that the queue with number `queue` stops until its driver resets the device. A guest can cause this as often as it likes.
    fn failed(&self, queue: u16, error: &ServeError);
}

/// A device's handler of all its queues in one thread, where a request on one is answered on another.
pub(super) trait JointHandler: Send + 'static {
    /// The name of the thread.
    fn thread_name(&self) -> String;

    /// The thread's role.
    fn role(&self) -> Role {
        Role::Queue(self.thread_name())
    }

    /// Serves `queues`, which are those that the driver enabled, by index, until told to stop.
    ///
    /// # Errors
    ///
    /// The errors of [`Handler::run`].
    fn run(&mut self, queues: &mut [Served<'_>]) -> Result<(), ServeError>;

    /// Logs that the queues stop until their driver resets the device. A guest can cause this as often as it likes.
    fn failed(&self, error: &ServeError);
}

/// The handler of a single queue, with its number.
struct One<H>(u16, H);

impl<H: Handler> JointHandler for One<H> {
    fn thread_name(&self) -> String {
        self.1.thread_name(self.0)
    }

    fn role(&self) -> Role {
        self.1.role(self.0)
    }

    fn run(&mut self, queues: &mut [Served<'_>]) -> Result<(), ServeError> {
        queues.iter_mut().try_for_each(|queue| self.1.run(queue))
    }

    fn failed(&self, error: &ServeError) {
        self.1.failed(self.0, error);
    }
}

/// The next step of [`Served::serve_with`] after a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Continue with the next chain.
    Chain,
    /// Try the same chain again, which was not served, after this time or sooner.
    Again(Duration),
}

/// Reasons why a queue stops by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The chain is no request for the device.
    #[error(transparent)]
    Request(Box<dyn Error + Send + Sync>),
    #[error("can't wait for the driver")]
    Wait(#[source] io::Error),
    #[error("can't start a request")]
    Start(#[source] io::Error),
}

/// A queue while it is served.
#[derive(Debug)]
pub(super) struct Served<'m> {
    index: u16,
    rings: Rings<'m>,
    notify: Arc<dyn Notify>,
    kick: EventFd,
    /// The driver was asked for kicks.
    kicks_wanted: bool,
    /// The number of times that chains were returned since the driver was last interrupted.
    unreported: u32,
    stop: Stop,
}

impl<'m> Served<'m> {
    /// Takes the next chain off the queue; none once the worker has to stop. While there are chains, the driver need not kick; if there is
    /// none, it is asked to.
    pub(super) fn next(&mut self) -> Result<Option<Chain<'m>>, QueueError> {
        loop {
            let chain = self.next_if_any()?;
            if chain.is_some() || self.kicks_wanted || self.stop.is_set() {
                return Ok(chain);
            }
            // Look for chains that the driver made available before it saw that.
            self.rings.enable_kicks()?;
            self.kicks_wanted = true;
        }
    }

    /// The same for a worker that does without kicks: if there is no chain, the driver is not asked to kick.
    pub(super) fn next_if_any(&mut self) -> Result<Option<Chain<'m>>, QueueError> {
        if self.stop.is_set() {
            return Ok(None);
        }
        let chain = self.rings.pop()?;
        if chain.is_some() && self.kicks_wanted {
            self.rings.disable_kicks()?;
            self.kicks_wanted = false;
        }
        Ok(chain)
    }

    /// Puts the chain that was taken last back: it is the next one again.
    pub(super) fn put_back(&mut self) {
        self.rings.put_back();
    }

    /// Returns the chain `head` to the driver, with `written` bytes in its writable buffers. The driver is interrupted later, by
    /// [`Served::tell`].
    pub(super) fn give_back(&mut self, head: u16, written: u32) -> Result<(), QueueError> {
        self.give_back_all([(head, written)])
    }

    /// Returns several chains, each with its number of written bytes. The driver sees all of them or none.
    pub(super) fn give_back_all(
        &mut self,
        chains: impl IntoIterator<Item = (u16, u32)>,
    ) -> Result<(), QueueError> {
        self.rings.push_all(chains)?;
        self.unreported += 1;
        Ok(())
    }

    /// Interrupts the driver for returned chains, if there are any and the driver wants that.
    pub(super) fn tell(&mut self) -> Result<(), QueueError> {
        if self.unreported > 0 {
            self.unreported = 0;
            if self.rings.wants_interrupt()? {
                self.notify.used(self.index);
            }
        }
        Ok(())
    }

    /// Interrupts early after chains were returned 32 times.
    pub(super) fn interrupt_if_batched(&mut self) -> Result<(), QueueError> {
        if self.unreported >= BATCH { self.tell() } else { Ok(()) }
    }

    /// Interrupts early after chains were returned `batch` times, or after half of the queue was returned: then the driver can work on that
    /// half while the device works on the other.
    pub(super) fn interrupt_after(&mut self, batch: u32) -> Result<(), QueueError> {
        let is_half = self.rings.unreported() >= self.size().div_ceil(2);
        if self.unreported >= batch || is_half { self.tell() } else { Ok(()) }
    }

    /// The number of chains that can be taken, as far as is known without reading memory.
    pub(super) fn seen(&self) -> u16 {
        self.rings.seen()
    }

    /// Notifies the driver that the configuration has changed.
    pub(super) fn config_changed(&self) {
        self.notify.config_changed();
    }

    /// The index in the device.
    pub(super) fn index(&self) -> u16 {
        self.index
    }

    /// The number of the queue's descriptors.
    pub(super) fn size(&self) -> u16 {
        self.rings.size()
    }

    /// Written when the driver has made buffers available, and when the worker has to stop.
    pub(super) fn kick(&self) -> &EventFd {
        &self.kick
    }

    /// The request to stop.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Serves one chain after the other with `serve`, and returns it, until told to stop. A device that serves several requests at a time
    /// has a loop of its own.
    pub(super) fn serve_with(
        &mut self,
        mut serve: impl FnMut(Chain<'m>, &mut Self) -> Result<Next, ServeError>,
    ) -> Result<(), ServeError> {
        // Edge-triggered: each kick wakes the thread, and the counter need not be read.
        let kicks = Epoll::new().map_err(ServeError::Wait)?;
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
        kicks.ctl(ControlOperation::Add, self.kick.as_raw_fd(), event).map_err(ServeError::Wait)?;
        loop {
            let pause = loop {
                let Some(chain) = self.next()? else { break None };
                if let Next::Again(pause) = serve(chain, self)? {
                    self.put_back();
                    break Some(pause);
                }
                self.interrupt_if_batched()?;
            };
            self.tell()?;
            if self.stop.is_set() {
                return Ok(());
            }
            match kicks.wait(millis(pause), &mut [EpollEvent::default()]) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(ServeError::Wait(error));
                }
                _ => {}
            }
        }
    }
}

/// The workers of a device, mostly one for each queue that its driver enabled.
#[derive(Debug, Default)]
pub(super) struct Workers(Vec<Worker<Queues>>);

/// The queues that a worker returns, by index.
type Queues = Vec<(u16, Queue)>;

impl Workers {
    /// Starts workers, each with the handler that `make` makes for its queue. The handler is told to stop by [`Stop`].
    ///
    /// # Errors
    ///
    /// No descriptor or thread is left.
    pub(super) fn start<H: Handler>(
        &mut self,
        activation: Activation,
        mut make: impl FnMut(u16, &Stop) -> H,
    ) -> io::Result<()> {
        self.end();
        let Activation { memory, features, queues, notify } = activation;
        for active in queues {
            let stop = Stop::default();
            let handler = One(active.index, make(active.index, &stop));
            let (memory, notify) = (memory.clone(), Arc::clone(&notify));
            self.0.extend(spawn(
                Activation { memory, features, queues: vec![active], notify },
                handler,
                stop,
            )?);
        }
        Ok(())
    }

    /// Starts one worker for all queues.
    ///
    /// # Errors
    ///
    /// The errors of [`Workers::start`].
    pub(super) fn start_one(&mut self, activation: Activation, handler: impl JointHandler) -> io::Result<()> {
        self.end();
        self.0.extend(spawn(activation, handler, Stop::default())?);
        Ok(())
    }

    /// Stops them as [`VirtioDevice::stop`](super::device::VirtioDevice::stop) does.
    pub(super) fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        self.0.iter().for_each(|worker| worker.stop(halt));
        let asked = Instant::now();
        let mut workers = self.0.iter();
        let ended = workers.all(|worker| worker.has_ended(patience.saturating_sub(asked.elapsed())));
        ended.then(|| self.0.drain(..).filter_map(Worker::join).flatten().collect())
    }

    /// Ends the workers, however long that takes.
    pub(super) fn end(&mut self) {
        self.0.clear();
    }
}

/// Starts a thread that serves the queues of `activation` with `handler` until `stop` is set. Then it returns the queues, except for broken
/// ones. Without queues, no thread is started.
fn spawn(
    activation: Activation,
    mut handler: impl JointHandler,
    stop: Stop,
) -> io::Result<Option<Worker<Queues>>> {
    let Activation { memory, features, queues, notify } = activation;
    let Some(first) = queues.first() else { return Ok(None) };
    let (role, wake) = (handler.role(), first.kick.try_clone()?);
    let (stops, for_panics) = (stop.clone(), Arc::clone(&notify));
    let work = move || {
        let serve = |ActiveQueue { index, mut queue, kick }| {
            queue.set_event_idx(features & 1 << VIRTIO_RING_F_EVENT_IDX != 0);
            let (mut rings, notify, stop) = (Rings::new(queue, &memory)?, Arc::clone(&notify), stops.clone());
            // Ignore notification flags left by a previous owner: the first look comes after this.
            rings.disable_kicks()?;
            Ok(Served { index, rings, notify, kick, kicks_wanted: false, unreported: 0, stop })
        };
        // Setting the queues up can't fail: the transport has checked that the rings are in memory.
        let served: Result<Vec<_>, QueueError> = queues.into_iter().map(serve).collect();
        let Ok(mut served) = served.inspect_err(|_| notify.needs_reset()) else { return Vec::new() };
        if let Err(error) = handler.run(&mut served) {
            handler.failed(&error);
            notify.needs_reset();
            return Vec::new();
        }
        served.into_iter().map(|queue| (queue.index, queue.rings.into_queue())).collect()
    };
    Worker::spawn(&role, stop, &wake, move || for_panics.needs_reset(), work).map(Some)
}

#[cfg(test)]
#[path = "serve_test.rs"]
mod tests;
