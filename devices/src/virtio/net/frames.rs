//! The frame queues of a device that uses vhost. While its link is down, nvmm serves them, and drops all frames.
//!
//! ```text
//!   link up:    VhostQueues ── positions ──▶
//!   link down:  Workers ◀─────────────────── the same queues, with Receive and Transmit
//! ```

use std::{io, sync::Arc, time::Duration};

use arch::memory::GuestRam;
use virtio_queue::Queue;
use vmm_sys_util::eventfd::EventFd;

use super::work::Shared;
use crate::virtio::{
    device::{Activation, ActiveQueue, Halt, Notify},
    serve::Workers,
    vhost::VhostQueues,
};

/// The time for a worker to end. It never waits for the host.
const PATIENCE: Duration = Duration::from_secs(10);

/// Frame queues that are being served. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Frames {
    shared: Shared,
    memory: GuestRam,
    notify: Arc<dyn Notify>,
    kicks: Vec<(u16, EventFd)>,
    server: Server,
}

/// The server of the queues.
#[derive(Debug)]
enum Server {
    Kernel(VhostQueues),
    Nvmm(Workers),
}

impl Frames {
    /// Serves `queues`, which are receive and transmit queues.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or no descriptor or thread is left.
    pub(super) fn start(
        shared: Shared,
        memory: GuestRam,
        notify: Arc<dyn Notify>,
        queues: Vec<ActiveQueue>,
    ) -> io::Result<Self> {
        let kicks = queues.iter().map(|active| Ok((active.index, active.kick.try_clone()?)));
        let kicks = kicks.collect::<io::Result<_>>()?;
        let mut frames = Self { shared, memory, notify, kicks, server: Server::Nvmm(Workers::default()) };
        frames.serve(queues)?;
        Ok(frames)
    }

    /// Switches to the server for the current state of the link.
    ///
    /// # Errors
    ///
    /// The errors of [`Frames::start`]. The device needs a reset then.
    pub(super) fn follow_link(&mut self) -> io::Result<()> {
        if self.link_is_up() == matches!(self.server, Server::Kernel(_)) {
            return Ok(());
        }
        let queues = self.stop(Halt::Pause, PATIENCE).ok_or(io::ErrorKind::TimedOut)?;
        let active = queues.into_iter().filter_map(|(index, queue)| {
            let (_, kick) = self.kicks.iter().find(|(of, _)| *of == index)?;
            Some(kick.try_clone().map(|kick| ActiveQueue { index, queue, kick }))
        });
        let served = active.collect::<io::Result<_>>().and_then(|active| self.serve(active));
        served.inspect_err(|_| self.notify.needs_reset())
    }

    /// Stops as [`VirtioDevice::stop`](crate::virtio::device::VirtioDevice::stop) does.
    pub(super) fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        match std::mem::replace(&mut self.server, Server::Nvmm(Workers::default())) {
            Server::Kernel(queues) => Some(queues.stop()),
            Server::Nvmm(mut workers) => {
                let stopped = workers.stop(halt, patience);
                self.server = Server::Nvmm(workers);
                stopped
            }
        }
    }

    fn serve(&mut self, queues: Vec<ActiveQueue>) -> io::Result<()> {
        let (shared, memory, notify) = (&self.shared, self.memory.clone(), Arc::clone(&self.notify));
        let activation = Activation { memory, features: shared.features, queues, notify };
        self.server = if self.link_is_up() {
            let (host, link, name) = (&shared.host, Arc::clone(&shared.lasting.link), shared.host.name());
            let place = |queue| Some((host.vhost(queue / 2)?, usize::from(queue % 2)));
            let broken = move |queue| {
                link.said_broken.warn(format_args!(
                    "net {name}: vhost-net can't make sense of queue {queue}; the guest has to reset the device"
                ));
            };
            Server::Kernel(VhostQueues::start(host.name(), activation, place, broken)?)
        } else {
            let mut workers = Workers::default();
            workers.start(activation, |queue, _| shared.work(queue, &[]))?;
            Server::Nvmm(workers)
        };
        Ok(())
    }

    fn link_is_up(&self) -> bool {
        self.shared.lasting.link.is_up()
    }
}

#[cfg(test)]
#[path = "frames_test.rs"]
mod tests;

#[cfg(test)]
#[path = "vhost_test.rs"]
mod vhost_tests;
