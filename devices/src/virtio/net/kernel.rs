//! Frames that the kernel moves: vhost-net serves the receive and transmit queues, nvmm's own threads only the control queue.
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
    eventfd::{EFD_NONBLOCK, EventFd},
};

use super::{lasting::Link, work::Shared};
use crate::{
    net::{Network, Vhost, VhostQueue},
    threads::Role,
    virtio::device::{ActiveQueue, Notify},
    worker::{Stop, Worker},
};

/// The events that a thread takes at a time.
const EVENTS: usize = 16;
/// Stands for the wish that the relay ends, beside the events of queues.
const WAKE: u64 = u64::MAX;

/// Queues that the kernel serves. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Kernel {
    host: Arc<dyn Network>,
    /// The kernel reaches it as long as it serves a queue.
    memory: GuestRam,
    notify: Arc<dyn Notify>,
    queues: Vec<KernelQueue>,
    events: Arc<[Events]>,
    relay: Option<Worker<()>>,
}

#[derive(Debug)]
struct KernelQueue {
    pair: u16,
    /// Its index among the pair's.
    index: usize,
    active: ActiveQueue,
}

/// The events that the kernel writes to for a queue.
#[derive(Debug)]
struct Events {
    queue: u16,
    call: Arc<EventFd>,
    error: EventFd,
    broken: AtomicBool,
}

impl Kernel {
    /// Has the kernel serve `active`, receive and transmit queues.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or no descriptor or thread is to be had.
    pub(super) fn start(
        shared: &Shared,
        memory: GuestRam,
        notify: &Arc<dyn Notify>,
        active: Vec<ActiveQueue>,
    ) -> io::Result<Self> {
        let Shared { host, lasting, features, .. } = shared;
        let events: Arc<[_]> = active.iter().map(Events::new).collect::<io::Result<_>>()?;
        let queues = active.into_iter().map(|active| {
            let pair = active.index / 2;
            KernelQueue { pair, index: usize::from(active.index % 2), active }
        });
        let mut kernel = Self {
            host: Arc::clone(host),
            memory,
            notify: Arc::clone(notify),
            queues: queues.collect(),
            events,
            relay: None,
        };
        kernel.set_up(*features)?;
        for events in &*kernel.events {
            notify.attach(events.queue, &events.call);
        }
        kernel.relay = Some(kernel.start_relay(&lasting.link)?);
        for queue in &kernel.queues {
            kernel.vhost(queue.pair)?.serve(queue.index, true)?;
        }
        Ok(kernel)
    }

    fn set_up(&self, features: u64) -> io::Result<()> {
        let pairs = self.queues.iter().map(|queue| queue.pair);
        for pair in 0..=pairs.max().unwrap_or(0) {
            let queues = self.queues.iter().zip(&*self.events).filter(|(queue, _)| queue.pair == pair);
            let queues = queues.map(|(KernelQueue { index, active, .. }, Events { call, error, .. })| {
                VhostQueue { index: *index, queue: &active.queue, kick: &active.kick, call, error }
            });
            self.vhost(pair)?.set_up(&self.memory, features, &queues.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn vhost(&self, pair: u16) -> io::Result<&dyn Vhost> {
        self.host.vhost(pair).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Ends it. Returns the queues with the positions where the kernel stopped, except broken ones.
    pub(super) fn stop(mut self) -> Vec<(u16, Queue)> {
        self.end();
        let (host, memory) = (Arc::clone(&self.host), self.memory.clone());
        let queues = std::mem::take(&mut self.queues).into_iter().zip(&*self.events);
        let sound = queues.filter(|(_, events)| !events.broken.load(Ordering::Relaxed));
        let stopped = sound.filter_map(|(KernelQueue { pair, index, active }, _)| {
            let mut queue = active.queue;
            let position = host.vhost(pair)?.position(index);
            let position = position.inspect_err(|error| log::error!("VHOST_GET_VRING_BASE: {error}")).ok()?;
            queue.set_next_avail(position);
            queue.set_next_used(queue.used_idx(&memory, Ordering::Acquire).ok()?.0);
            Some((active.index, queue))
        });
        stopped.collect()
    }

    fn end(&mut self) {
        for queue in &self.queues {
            let ended = self.vhost(queue.pair).and_then(|vhost| vhost.serve(queue.index, false));
            if let Err(error) = ended {
                log::error!("VHOST_NET_SET_BACKEND: {error}");
            }
        }
        for events in &*self.events {
            self.notify.detach(events.queue);
        }
        self.relay = None;
        // Interrupts that came after the relay's last look.
        self.events.iter().for_each(|events| events.pass_on(&*self.notify));
    }

    fn start_relay(&self, link: &Arc<Link>) -> io::Result<Worker<()>> {
        let (stop, wake) = (Stop::default(), EventFd::new(EFD_NONBLOCK)?);
        let epoll = Epoll::new()?;
        let add = |event: &EventFd, data| {
            epoll.ctl(ControlOperation::Add, event.as_raw_fd(), EpollEvent::new(EventSet::IN, data))
        };
        add(&wake, WAKE)?;
        for (at, events) in (0..).zip(&*self.events) {
            add(&events.call, at)?;
            add(&events.error, at)?;
        }
        let (name, link, stopped) = (self.host.name(), Arc::clone(link), stop.clone());
        let (events, notify) = (Arc::clone(&self.events), Arc::clone(&self.notify));
        let work = move || {
            let mut ready = [EpollEvent::default(); EVENTS];
            while !stopped.is_set() {
                let count = match epoll.wait(-1, &mut ready) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        log::error!("net {name}: can't wait for vhost-net: {error}");
                        return notify.needs_reset();
                    }
                };
                let of_queues = ready[..count].iter().filter_map(|ready| usize::try_from(ready.data()).ok());
                for events in of_queues.filter_map(|at| events.get(at)) {
                    events.pass_on(&*notify);
                    if events.is_broken() {
                        link.said_broken.warn(format_args!(
                            "net {name}: vhost-net can't make sense of queue {}; the guest has to reset the device",
                            events.queue
                        ));
                        notify.needs_reset();
                    }
                }
            }
        };
        let role = Role::Queue(format!("call {}", self.host.name()));
        let notify = Arc::clone(&self.notify);
        Worker::spawn(&role, stop, &wake, move || notify.needs_reset(), work)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.end();
    }
}

impl Events {
    fn new(active: &ActiveQueue) -> io::Result<Self> {
        let event = || EventFd::new(EFD_NONBLOCK);
        Ok(Self {
            queue: active.index,
            call: Arc::new(event()?),
            error: event()?,
            broken: AtomicBool::new(false),
        })
    }

    /// Sends the queue's interrupt, if the kernel has asked for it.
    fn pass_on(&self, notify: &dyn Notify) {
        if self.call.read().is_ok() {
            notify.used(self.queue);
        }
    }

    /// Returns whether the kernel has just found the queue to be broken.
    fn is_broken(&self) -> bool {
        let broken = self.error.read().is_ok();
        self.broken.fetch_or(broken, Ordering::Relaxed);
        broken
    }
}

#[cfg(test)]
#[path = "kernel_test.rs"]
mod tests;
