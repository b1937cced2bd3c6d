//! virtio 1.3, "Socket Device", "Device Events": a driver whose state was loaded by another machine is notified that its connections are
//! gone.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use virtio_queue::Queue;

use crate::virtio::{
    device::{Activation, Halt},
    queue::Chain,
    serve::{Handler, Next, ServeError, Served, Workers},
};

/// The index of the queue of events.
const QUEUE: u16 = 2;
/// `VIRTIO_VSOCK_EVENT_TRANSPORT_RESET` as a `struct virtio_vsock_event`.
const TRANSPORT_RESET: [u8; 4] = 0_u32.to_le_bytes();
/// A timeout for waiting without an event to send.
const LONG: Duration = Duration::from_secs(3600);

/// The queue of events. It has a thread only while there is an event to send.
#[derive(Debug, Default)]
pub(super) struct Events {
    transport_reset: Arc<AtomicBool>,
    workers: Workers,
    /// The queue while there is no event to send.
    idle: Option<Queue>,
}

/// Notifies the driver of the transport reset.
#[derive(Debug)]
struct Tell(Arc<AtomicBool>);

impl Events {
    /// Notifies the driver, once the device is activated, that its connections are gone.
    pub(super) fn begin_anew(&self) {
        self.transport_reset.store(true, Ordering::Relaxed);
    }

    /// Takes the queue of events out of those in `activation`, if the driver has enabled it.
    ///
    /// # Errors
    ///
    /// No descriptor or thread is left.
    pub(super) fn activate(&mut self, activation: &mut Activation) -> io::Result<()> {
        let mut queues = activation.queues.extract_if(.., |active| active.index == QUEUE).collect::<Vec<_>>();
        if !self.transport_reset.load(Ordering::Relaxed) {
            self.idle = queues.pop().map(|active| active.queue);
            return Ok(());
        }
        let (memory, notify) = (activation.memory.clone(), Arc::clone(&activation.notify));
        let own = Activation { memory, features: activation.features, queues, notify };
        self.workers.start(own, |_, _| Tell(Arc::clone(&self.transport_reset)))
    }

    /// Stops as [`VirtioDevice::stop`](crate::virtio::device::VirtioDevice::stop) does.
    pub(super) fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        let told = self.workers.stop(halt, patience)?;
        Some(told.into_iter().chain(self.idle.take().map(|queue| (QUEUE, queue))).collect())
    }

    /// Resets the queue of events for a new driver.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Tell {
    fn serve<'m>(&self, chain: &Chain<'m>, queue: &mut Served<'m>) -> Result<Next, ServeError> {
        if !self.0.swap(false, Ordering::Relaxed) {
            return Ok(Next::Again(LONG));
        }
        let written = chain.writable.write(&TRANSPORT_RESET);
        queue.give_back(chain.head, u32::try_from(written).unwrap_or_default())?;
        Ok(Next::Chain)
    }
}

impl Handler for Tell {
    fn thread_name(&self, _: u16) -> String {
        "vsock events".to_owned()
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        queue.serve_with(|chain, queue| self.serve(&chain, queue))
    }

    fn failed(&self, _: u16, error: &ServeError) {
        log::debug!("vsock: the driver can't be told that its connections are gone: {error}");
    }
}
