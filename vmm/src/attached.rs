//! The parts of a running machine that the main thread serves.

use std::{
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
};

use devices::{platform::Serial, wakes::Wakes};

/// The main thread's access to a UART of a running machine.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    /// The number of the port: 0 is COM1.
    pub(crate) port: usize,
    /// The [`Wakes::wakeup`], which stays open as long as the UART exists.
    pub(crate) wakeup: RawFd,
    serial: Arc<Mutex<Serial>>,
}

impl Attachment {
    /// The UART of a port.
    pub(crate) fn new(port: usize, serial: Arc<Mutex<Serial>>) -> Self {
        let wakeup = serial.lock().unwrap_or_else(PoisonError::into_inner).wakeup().as_raw_fd();
        Self { port, wakeup, serial }
    }

    /// Locks the UART. None if a vCPU holds it for longer than a moment, which is the case while it waits for a file.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, Serial>> {
        for _ in 0..100 {
            match self.serial.try_lock() {
                Ok(serial) => return Some(serial),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
        None
    }
}

/// A device of a running machine that waits for time.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    /// The [`Wakes::wakeup`], which stays open as long as the device exists.
    pub(crate) wakeup: RawFd,
    device: Arc<Mutex<dyn Wakes>>,
}

impl Waker {
    /// The waker of a device.
    pub(crate) fn new(device: Arc<Mutex<dyn Wakes>>) -> Self {
        let wakeup = device.lock().unwrap_or_else(PoisonError::into_inner).wakeup().as_raw_fd();
        Self { wakeup, device }
    }

    /// Wakes the device. A vCPU never holds it for longer than a moment.
    pub(crate) fn wake(&self) {
        self.device.lock().unwrap_or_else(PoisonError::into_inner).on_wakeup();
    }
}

/// The parts of a running machine that the main thread serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attached {
    /// The serial ports.
    pub(crate) uarts: Vec<Attachment>,
    /// The devices that wait for time.
    pub(crate) wakers: Vec<Waker>,
}
