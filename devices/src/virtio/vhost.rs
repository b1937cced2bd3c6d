//! Queues that the kernel serves by vhost, without any of nvmm's threads.
//!
//! ```text
//!   driver ── kick ──▶ vhost ── call ──▶ KVM: an interrupt             where the transport could attach the event
//!                        │          └──▶ relay ──▶ Notify::used        else: masked, no MSI-X, no such vector
//!                        └──── error ──▶ relay ──▶ Notify::needs_reset
//! ```

use std::{
    io,
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arch::memory::GuestRam;
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::{
    epoll::{ControlOperation, Epoll, EpollEvent, EventSet},
    eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd},
};

use super::device::{Activation, ActiveQueue, Notify};
use crate::{
    threads::Role,
    vhost::{Vhost, Vring},
    worker::{Stop, Worker},
};

/// The number of events that a thread reads at a time.
const EVENTS: usize = 16;
/// The value for the request that the relay ends, among those for queues' events.
const WAKE: u64 = u64::MAX;

/// Queues that the kernel serves. Dropping it ends that.
#[derive(Debug)]
pub(super) struct VhostQueues {
    /// The device's name in messages.
    name: String,
    /// Kept, since the kernel accesses it while it serves a queue.
    memory: GuestRam,
    notify: Arc<dyn Notify>,
    /// The queues. Those of the same vhost device are adjacent.
    queues: Vec<VhostQueue>,
    relay: Option<Worker<()>>,
}

#[derive(Debug)]
struct VhostQueue {
    vhost: Arc<dyn Vhost>,
    /// The index in its vhost device.
    index: usize,
    active: ActiveQueue,
    events: Arc<Events>,
}

/// The events that the kernel writes to for a queue.
#[derive(Debug)]
struct Events {
    queue: u16,
    call: Arc<EventFd>,
    error: EventFd,
    broken: AtomicBool,
}

impl VhostQueues {
    /// Has the kernel serve the queues of `activation`. `place` gives the vhost device for a queue's number, and the index there. `broken`
    /// logs a queue that makes no sense to the kernel; a guest can cause that as often as it likes.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or no descriptor or thread is left.
    pub(super) fn start(
        name: String,
        activation: Activation,
        place: impl Fn(u16) -> Option<(Arc<dyn Vhost>, usize)>,
        broken: impl Fn(u16) + Send + 'static,
    ) -> io::Result<Self> {
        let Activation { memory, features, queues: active, notify } = activation;
        let queues = active.into_iter().map(|active| {
            let (vhost, index) = place(active.index).ok_or(io::ErrorKind::NotFound)?;
            let events = Arc::new(Events::new(active.index)?);
            Ok(VhostQueue { vhost, index, active, events })
        });
        let queues = queues.collect::<io::Result<_>>()?;
        let mut queues = Self { name, memory, notify, queues, relay: None };
        queues.set_up(features)?;
        for events in queues.events() {
            queues.notify.attach(events.queue, &events.call);
        }
        queues.relay = Some(queues.start_relay(broken)?);
        for (vhost, indices) in queues.devices() {
            vhost.serve(&indices, true)?;
        }
        // The kernel serves some queues only after a kick, and these may have buffers from long ago.
        for queue in &queues.queues {
            queue.active.kick.write(1)?;
        }
        Ok(queues)
    }

    fn set_up(&self, features: u64) -> io::Result<()> {
        for queues in self.by_device() {
            let vrings = queues.iter().map(|VhostQueue { index, active, events, .. }| Vring {
                index: *index,
                queue: &active.queue,
                kick: &active.kick,
                call: &events.call,
                error: &events.error,
            });
            queues[0].vhost.set_up(&self.memory, features, &vrings.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn by_device(&self) -> impl Iterator<Item = &[VhostQueue]> {
        self.queues.chunk_by(|one, next| Arc::ptr_eq(&one.vhost, &next.vhost))
    }

    /// The vhost devices, with the indices of the queues that they serve.
    fn devices(&self) -> impl Iterator<Item = (&dyn Vhost, Vec<usize>)> {
        self.by_device().map(|queues| (&*queues[0].vhost, queues.iter().map(|queue| queue.index).collect()))
    }

    fn events(&self) -> impl Iterator<Item = &Arc<Events>> {
        self.queues.iter().map(|queue| &queue.events)
    }

    /// Ends this. Returns the queues with the positions at which the kernel stopped, except for broken ones.
    pub(super) fn stop(mut self) -> Vec<(u16, Queue)> {
        self.end();
        let sound =
            std::mem::take(&mut self.queues).into_iter().filter(|queue| !queue.events.is_known_broken());
        let stopped = sound.filter_map(
            |VhostQueue { vhost, index, active: ActiveQueue { index: number, mut queue, .. }, .. }| {
                let position = vhost.position(index);
                let position =
                    position.inspect_err(|error| log::error!("VHOST_GET_VRING_BASE: {error}")).ok()?;
                queue.set_next_avail(position);
                queue.set_next_used(queue.used_idx(&self.memory, Ordering::Acquire).ok()?.0);
                Some((number, queue))
            },
        );
        stopped.collect()
    }

    fn end(&mut self) {
        for (vhost, indices) in self.devices() {
            if let Err(error) = vhost.serve(&indices, false) {
                log::error!("{}: the kernel does not stop serving its queues: {error}", self.name);
            }
        }
        for events in self.events() {
            self.notify.detach(events.queue);
        }
        self.relay = None;
        // Pass on interrupts that came after the relay's last look.
        self.events().for_each(|events| events.pass_on(&*self.notify));
    }

    fn start_relay(&self, broken: impl Fn(u16) + Send + 'static) -> io::Result<Worker<()>> {
        let (stop, wake) = (Stop::default(), EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?);
        let epoll = Epoll::new()?;
        let add = |event: &EventFd, data| {
            epoll.ctl(ControlOperation::Add, event.as_raw_fd(), EpollEvent::new(EventSet::IN, data))
        };
        add(&wake, WAKE)?;
        for (at, events) in (0..).zip(self.events()) {
            add(&events.call, at)?;
            add(&events.error, at)?;
        }
        let (name, stopped, notify) = (self.name.clone(), stop.clone(), Arc::clone(&self.notify));
        let events: Vec<_> = self.events().cloned().collect();
        let work = move || {
            let mut ready = [EpollEvent::default(); EVENTS];
            while !stopped.is_set() {
                let count = match epoll.wait(-1, &mut ready) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        log::error!("{name}: can't wait for the kernel's vhost: {error}");
                        return notify.needs_reset();
                    }
                };
                let of_queues = ready[..count].iter().filter_map(|ready| usize::try_from(ready.data()).ok());
                for events in of_queues.filter_map(|at| events.get(at)) {
                    events.pass_on(&*notify);
                    if events.is_broken() {
                        broken(events.queue);
                        notify.needs_reset();
                    }
                }
            }
        };
        let role = Role::Queue(format!("call {}", self.name));
        let notify = Arc::clone(&self.notify);
        Worker::spawn(&role, stop, &wake, move || notify.needs_reset(), work)
    }
}

impl Drop for VhostQueues {
    fn drop(&mut self) {
        self.end();
    }
}

impl Events {
    fn new(queue: u16) -> io::Result<Self> {
        let event = || EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK);
        Ok(Self { queue, call: Arc::new(event()?), error: event()?, broken: AtomicBool::new(false) })
    }

    /// Sends the queue's interrupt, if the kernel has asked for one.
    fn pass_on(&self, notify: &dyn Notify) {
        if self.call.read().is_ok() {
            notify.used(self.queue);
        }
    }

    /// Returns whether the kernel has newly found the queue to be broken.
    fn is_broken(&self) -> bool {
        let broken = self.error.read().is_ok();
        self.broken.fetch_or(broken, Ordering::Relaxed);
        broken
    }

    /// Returns whether the queue is known to be broken.
    fn is_known_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}
