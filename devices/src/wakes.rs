//! Devices that the main thread has to serve from time to time.

use std::{fmt::Debug, os::fd::BorrowedFd};

/// A device that waits for a time, or for room: its user calls [`Wakes::on_wakeup`] when [`Wakes::wakeup`] is readable.
pub trait Wakes: Send + Debug {
    /// The descriptor that is readable when the device has something to do. It never changes.
    fn wakeup(&self) -> BorrowedFd<'_>;

    /// Does what is due, and makes the descriptor unreadable.
    fn on_wakeup(&mut self);
}
