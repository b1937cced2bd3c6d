//! A replacement for the kernel's vhost, for tests that do its work.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

use arch::memory::GuestRam;
use virtio_queue::QueueT;
use vmm_sys_util::eventfd::EventFd;

use crate::vhost::{Vhost, Vring};

/// A vhost device that serves no queue itself.
#[derive(Debug)]
pub(crate) struct TestVhost {
    pub(crate) features: u64,
    /// The features of the driver, and its queues by index.
    pub(crate) driver_features: Mutex<u64>,
    pub(crate) queues: Mutex<[Option<TestVhostQueue>; 2]>,
    /// The errno with which setting up fails, unless it is 0.
    pub(crate) refuses: AtomicI32,
    /// Set up with a log of the memory that it writes.
    pub(crate) notes: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct TestVhostQueue {
    pub(crate) served: bool,
    /// The position at which it started, or at which it stopped.
    pub(crate) position: u16,
    pub(crate) kick: EventFd,
    pub(crate) call: EventFd,
    pub(crate) error: EventFd,
}

impl TestVhost {
    pub(crate) fn new(features: u64) -> Arc<Self> {
        let (driver_features, queues) = (Mutex::default(), Mutex::default());
        Arc::new(Self {
            features,
            driver_features,
            queues,
            refuses: AtomicI32::new(0),
            notes: AtomicBool::new(false),
        })
    }

    pub(crate) fn with<T>(&self, index: usize, what: impl FnOnce(&mut TestVhostQueue) -> T) -> T {
        what(self.queues.lock().unwrap()[index].as_mut().unwrap())
    }

    pub(crate) fn served(&self) -> Vec<bool> {
        self.queues.lock().unwrap().iter().flatten().map(|queue| queue.served).collect()
    }
}

impl Vhost for TestVhost {
    fn features(&self) -> u64 {
        self.features
    }

    fn set_up(&self, memory: &GuestRam, features: u64, vrings: &[Vring<'_>]) -> io::Result<()> {
        match self.refuses.load(Ordering::SeqCst) {
            0 => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
        assert!(!self.served().contains(&true));
        self.notes.store(memory.written().is_on(), Ordering::SeqCst);
        *self.driver_features.lock().unwrap() = features;
        for Vring { index, queue, kick, call, error } in vrings {
            self.queues.lock().unwrap()[*index] = Some(TestVhostQueue {
                served: false,
                position: queue.next_avail(),
                kick: kick.try_clone()?,
                call: call.try_clone()?,
                error: error.try_clone()?,
            });
        }
        Ok(())
    }

    fn serve(&self, indices: &[usize], served: bool) -> io::Result<()> {
        let mut queues = self.queues.lock().unwrap();
        for index in indices {
            if let Some(queue) = &mut queues[*index] {
                queue.served = served;
            }
        }
        Ok(())
    }

    fn position(&self, index: usize) -> io::Result<u16> {
        assert!(!self.served()[index]);
        Ok(self.with(index, |queue| queue.position))
    }
}
