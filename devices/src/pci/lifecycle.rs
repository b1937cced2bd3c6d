//! A device with threads of its own, as the machine halts it.

use std::{fmt::Debug, io, time::Duration};

/// The part of a PCI function that works beside the vCPUs: its threads reach guest memory and the host.
///
/// ```text
/// works ── pause ──▶ paused ── resume ──▶ works
///   └─────────── stop ─────────▶ stopped, for good
/// ```
pub trait Lifecycle: Send + Debug {
    /// Looks whether what is behind the device has changed, such as a disk's size, and tells the driver if so. Returns
    /// whether it has.
    ///
    /// # Errors
    ///
    /// The host can't tell, and the driver hears nothing.
    fn measure(&mut self) -> io::Result<bool>;

    /// Stops the device for good, at the machine's end, and waits for at most `patience`. Returns whether nothing of it
    /// touches guest memory any more; if not, this may be called again.
    fn stop(&mut self, patience: Duration) -> bool;

    /// Stops the device until [`Lifecycle::resume`], and waits for at most `patience`. Returns whether it has stopped: no
    /// request is on its way then, and nothing touches guest memory. If not, it still will, and this is to be called again.
    ///
    /// The machine's vCPUs have stopped before, so that no driver finds its device paused.
    fn pause(&mut self, patience: Duration) -> bool;

    /// Has a device that is paused go on where it was, with what came meanwhile.
    ///
    /// # Errors
    ///
    /// It has not stopped yet ([`io::ErrorKind::WouldBlock`]), or it can't start again, and the driver learns that it needs
    /// a reset.
    fn resume(&mut self) -> io::Result<()>;
}
