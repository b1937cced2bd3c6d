//! A vector of MSI-X, which a device's threads and the kernel signal.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use vmm_sys_util::eventfd::EventFd;

use crate::irq::Msi;

/// A vector. While it is open, its message is sent; otherwise it becomes pending.
#[derive(Debug)]
pub(super) struct Vector {
    pub(super) msi: Arc<dyn Msi>,
    /// The events for which writes send the message while the vector is open.
    events: Mutex<Vec<Attached>>,
    /// The vector is neither masked nor disabled.
    open: AtomicBool,
    pub(super) pending: AtomicBool,
}

impl Vector {
    pub(super) fn new(msi: Arc<dyn Msi>) -> Self {
        let events = Mutex::default();
        Self { msi, events, open: AtomicBool::new(false), pending: AtomicBool::new(false) }
    }

    pub(super) fn signal(&self) {
        if self.open.load(Ordering::SeqCst) {
            self.msi.signal();
        } else {
            self.pending.store(true, Ordering::SeqCst);
            // If it was opened in between, either `open` saw the pending bit, or this sees that it is open.
            if self.open.load(Ordering::SeqCst) {
                self.deliver();
            }
        }
    }

    pub(super) fn open(&self) {
        {
            let mut events = self.events();
            self.open.store(true, Ordering::SeqCst);
            events.iter_mut().for_each(|event| event.connect(&*self.msi));
        }
        self.deliver();
    }

    pub(super) fn close(&self) {
        let mut events = self.events();
        self.open.store(false, Ordering::SeqCst);
        events.iter_mut().for_each(|event| event.disconnect(&*self.msi));
    }

    pub(super) fn attach(&self, event: &Arc<EventFd>) {
        let mut events = self.events();
        let mut attached = Attached { event: Arc::clone(event), connected: false };
        if self.open.load(Ordering::SeqCst) {
            attached.connect(&*self.msi);
        }
        events.push(attached);
    }

    pub(super) fn detach(&self, event: &Arc<EventFd>) {
        self.events().retain_mut(|attached| {
            let other = !Arc::ptr_eq(&attached.event, event);
            if !other {
                attached.disconnect(&*self.msi);
            }
            other
        });
    }

    fn events(&self) -> MutexGuard<'_, Vec<Attached>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self) {
        if self.pending.swap(false, Ordering::SeqCst) {
            self.msi.signal();
        }
    }
}

/// An event that was attached to a vector.
#[derive(Debug)]
struct Attached {
    event: Arc<EventFd>,
    /// The kernel sends the message for writes to the event.
    connected: bool,
}

impl Attached {
    fn connect(&mut self, msi: &dyn Msi) {
        if !self.connected {
            self.connected = msi.attach(&self.event).is_ok();
        }
    }

    fn disconnect(&mut self, msi: &dyn Msi) {
        if std::mem::take(&mut self.connected) {
            msi.detach(&self.event);
        }
    }
}
