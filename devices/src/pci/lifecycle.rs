//! Devices with threads of their own, and how the machine halts them.

use std::{fmt::Debug, io, time::Duration};

/// The part of a PCI function that works beside the vCPUs: its threads access guest memory and the host.
///
/// ```text
/// works ── pause ──▶ paused ── resume ──▶ works
///   └─────────── stop ─────────▶ stopped, for good
/// ```
pub trait Lifecycle: Send + Debug {
    /// Checks whether the device's back end has changed, such as a disk's size, and notifies the driver of a change. Returns whether there
    /// was one.
    ///
    /// # Errors
    ///
    /// The host can't tell, and the driver is not notified.
    fn measure(&mut self) -> io::Result<bool>;

    /// Stops the device for good, at the machine's end, and waits for at most `patience`. Returns whether no part of it accesses guest
    /// memory any more; if not, call this again.
    fn stop(&mut self, patience: Duration) -> bool;

    /// Stops the device until [`Lifecycle::resume`], and waits for at most `patience`. Returns whether it has stopped: then no request is
    /// in progress, and nothing accesses guest memory. If not, it is still stopping, and this has to be called again.
    ///
    /// The machine's vCPUs have stopped before, so that no driver notices the pause.
    fn pause(&mut self, patience: Duration) -> bool;

    /// Resumes a paused device, with the requests that came in the meantime.
    ///
    /// # Errors
    ///
    /// The device has not stopped yet ([`io::ErrorKind::WouldBlock`]), or it can't start again, and the driver sees that it needs a reset.
    fn resume(&mut self) -> io::Result<()>;
}
