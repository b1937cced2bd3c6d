//! A socket device whose packets are moved by the kernel. The host's programs use `AF_VSOCK` sockets.
//!
//! ```text
//! guest ── tx ──▶ vhost-vsock ──▶ a socket of AF_VSOCK
//!       ◀─ rx ───             ◀──
//!       ◀─ events ── nvmm
//! ```

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use virtio_queue::Queue;

use super::{KIND, QUEUE_SIZES, events::Events, read_cid};
use crate::{
    once::Once,
    state::{StateError, Stateful},
    vhost::{Vhost, VhostSockets},
    virtio::{
        device::{Activation, DeviceKind, Halt, VirtioDevice},
        serve::RING_FEATURES,
        vhost::VhostQueues,
    },
};

/// virtio 1.3, "Socket Device", "Feature bits": sockets that preserve the boundaries of messages.
const SEQPACKET: u64 = 1 << 1;

/// The features to offer, as far as the kernel supports them.
const FEATURES: u64 = RING_FEATURES | SEQPACKET;

/// The kernel's side of a socket device. It outlives resets.
#[derive(Debug)]
pub struct KernelHost {
    vhost: Arc<dyn VhostSockets>,
    /// Connections of an earlier driver may still exist.
    used: AtomicBool,
    said_broken: Once,
    said_gone: Once,
}

/// A virtio-vsock device that the kernel serves.
#[derive(Debug)]
pub struct KernelVsock {
    host: Arc<KernelHost>,
    /// The driver has started the device, and not reset it.
    started: bool,
    packets: Option<VhostQueues>,
    events: Events,
    /// The queues if the driver has not enabled all of them, and those that have stopped while others have not.
    stopped: Vec<(u16, Queue)>,
}

impl KernelHost {
    /// Makes the host's side with `vhost`.
    #[must_use]
    pub fn new(vhost: Arc<dyn VhostSockets>) -> Self {
        Self { vhost, used: AtomicBool::new(false), said_broken: Once::default(), said_gone: Once::default() }
    }

    /// The guest's address.
    #[must_use]
    pub fn cid(&self) -> u32 {
        self.vhost.cid()
    }

    /// Ends the connections of an earlier driver.
    fn renew(&self) -> io::Result<()> {
        if self.used.load(Ordering::Relaxed) {
            self.vhost.end_connections()?;
            self.used.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl KernelVsock {
    /// Makes a device on `host`.
    #[must_use]
    pub fn new(host: Arc<KernelHost>) -> Self {
        Self { host, started: false, packets: None, events: Events::default(), stopped: Vec::new() }
    }

    fn serve(&self, activation: Activation) -> io::Result<VhostQueues> {
        let (vhost, host) = (Arc::clone(&self.host.vhost) as Arc<dyn Vhost>, Arc::clone(&self.host));
        let place = |queue| Some((Arc::clone(&vhost), usize::from(queue)));
        let broken = move |queue| {
            host.said_broken.warn(format_args!(
                "vsock cid {}: vhost-vsock can't make sense of queue {queue}; the guest has to reset the device",
                host.cid()
            ));
        };
        VhostQueues::start("vsock".to_owned(), activation, place, broken)
    }
}

impl VirtioDevice for KernelVsock {
    fn kind(&self) -> DeviceKind {
        KIND
    }

    fn features(&self) -> u64 {
        FEATURES & self.host.vhost.features()
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_cid(self.host.cid(), offset, data);
    }

    fn activate(&mut self, mut activation: Activation) -> io::Result<()> {
        if !self.started {
            self.host.renew()?;
            self.started = true;
            self.host.used.store(true, Ordering::Relaxed);
        }
        self.events.activate(&mut activation)?;
        if activation.queues.len() == 2 {
            self.packets = Some(self.serve(activation)?);
        } else {
            // The kernel serves both queues or neither.
            self.stopped.extend(activation.queues.into_iter().map(|active| (active.index, active.queue)));
        }
        Ok(())
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        if let Some(packets) = self.packets.take() {
            self.stopped = packets.stop();
        }
        let events = self.events.stop(halt, patience)?;
        let mut queues = std::mem::take(&mut self.stopped);
        queues.extend(events);
        Some(queues)
    }

    fn reset(&mut self) {
        self.packets = None;
        self.stopped.clear();
        self.events.reset();
        self.started = false;
        if let Err(error) = self.host.renew() {
            self.host.said_gone.warn(format_args!(
                "vsock cid {}: the guest has no sockets until its next reset: {error}",
                self.host.cid()
            ));
        }
    }
}

impl Stateful for KernelVsock {
    type State = ();

    fn save(&self) -> Result<(), StateError> {
        Ok(())
    }

    /// Loads a state, which has no connections: the kernel of the new host has others, or none.
    fn load(&mut self, (): ()) -> Result<(), StateError> {
        self.events.begin_anew();
        Ok(())
    }
}

#[cfg(test)]
#[path = "kernel_test.rs"]
mod tests;
