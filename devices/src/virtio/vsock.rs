//! virtio 1.3, "Socket Device": connections between programs of the guest and of the host.
//!
//! [`KernelVsock`] leaves them to the kernel. With [`Vsock`], they are unix sockets on the host, as with Firecracker and Cloud Hypervisor.
//! A program that connects to the device's socket sends `CONNECT port`, and gets `OK port` once the guest has accepted. For a program that
//! listens at the socket's path with `_port` appended, the guest can connect to it.
//!
//! ```text
//! guest ── tx ──▶ Connections::take ──▶ Connection::write ──▶ stream, or up to 128 KiB of buffer when the program doesn't read
//!       ◀─ rx ─── Connections::give ◀── Connection::read ◀─── stream, as long as the guest has room
//! ```

mod connection;
mod connections;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod greeting;
mod host;
mod kernel;
mod packet;
mod streams;
#[cfg(test)]
mod test_guest;
mod work;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use virtio_queue::Queue;

use self::{connections::Connections, events::Events, host::Connect, work::Work};
pub use self::{
    host::Host,
    kernel::{KernelHost, KernelVsock},
};
use super::{
    device::{Activation, DeviceKind, Halt, VirtioDevice},
    serve::{RING_FEATURES, Workers},
};
use crate::{
    pci::ClassCode,
    registers,
    state::{StateError, Stateful},
};

/// A socket device: in PCI, a communication controller of the class "other".
const KIND: DeviceKind = DeviceKind {
    device_type: 19,
    class: ClassCode { base: 0x07, sub: 0x80, interface: 0 },
    name: "virtio-vsock",
};

/// The queues: to receive, to transmit, and for events.
const QUEUE_SIZES: [u16; 3] = [128, 128, 128];

/// A virtio-vsock device that nvmm itself serves.
#[derive(Debug)]
pub struct Vsock {
    host: Arc<Host>,
    /// The driver's connections, from when it has started the device until it resets it.
    connections: Option<Arc<Mutex<Connections>>>,
    workers: Workers,
    events: Events,
    /// The queues that have stopped while others have not.
    stopped: Vec<(u16, Queue)>,
}

impl Vsock {
    /// Makes a device on `host`.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Self {
        let (workers, events) = (Workers::default(), Events::default());
        Self { host, connections: None, workers, events, stopped: Vec::new() }
    }
}

impl VirtioDevice for Vsock {
    fn kind(&self) -> DeviceKind {
        KIND
    }

    fn features(&self) -> u64 {
        RING_FEATURES
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_cid(self.host.cid(), offset, data);
    }

    fn activate(&mut self, mut activation: Activation) -> io::Result<()> {
        let connections = match &self.connections {
            Some(connections) => Arc::clone(connections),
            None => {
                let host = Arc::clone(&self.host) as Arc<dyn Connect>;
                Arc::new(Mutex::new(Connections::new(self.host.cid(), host)?))
            }
        };
        self.connections = Some(Arc::clone(&connections));
        self.events.activate(&mut activation)?;
        self.workers.start_one(activation, Work::new(Arc::clone(&self.host), connections))
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        self.stopped.extend(self.workers.stop(halt, patience)?);
        let events = self.events.stop(halt, patience)?;
        let mut queues = std::mem::take(&mut self.stopped);
        queues.extend(events);
        Some(queues)
    }

    fn reset(&mut self) {
        self.workers.end();
        self.events.reset();
        self.stopped.clear();
        self.connections = None;
    }
}

/// Reads the configuration, `guest_cid`.
fn read_cid(cid: u32, offset: u64, data: &mut [u8]) {
    data.fill(0);
    registers::read(&u64::from(cid).to_le_bytes(), offset, data);
}

impl Stateful for Vsock {
    type State = ();

    fn save(&self) -> Result<(), StateError> {
        Ok(())
    }

    /// Loads a state, which has no connections: once the device is activated, its driver is notified that they are gone.
    fn load(&mut self, (): ()) -> Result<(), StateError> {
        self.events.begin_anew();
        Ok(())
    }
}

#[cfg(test)]
#[path = "vsock_test.rs"]
mod tests;
