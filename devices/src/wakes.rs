//! Devices that the main thread has to look after now and then.

use std::{fmt::Debug, os::fd::BorrowedFd};

/// A device that waits for time, or for room: its user calls [`Wakes::on_wakeup`] when [`Wakes::wakeup`] is readable.
pub trait Wakes: Send + Debug {
    /// The descriptor that is readable when the device has something to do. It is one and the same for all of the device's life.
    fn wakeup(&self) -> BorrowedFd<'_>;

    /// Does it, and makes the descriptor unreadable.
    fn on_wakeup(&mut self);
}
