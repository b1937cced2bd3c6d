//! Says what went wrong, once: neither a failing disk nor a guest may flood the log.

use std::{
    collections::BTreeSet,
    io,
    sync::{Mutex, PoisonError},
};

use super::request::Operation;

/// What was already said about a disk. It outlives resets, of the device and of the machine, which a guest can do as often
/// as it likes.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<BTreeSet<Fault>>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Disk(Operation, Option<i32>),
    Driver,
    Ring,
}

impl Faults {
    /// The host failed `operation`, and the guest was told.
    pub(super) fn disk(&self, disk: &str, operation: Operation, sector: u64, error: &io::Error) {
        if !self.is_new(Fault::Disk(operation, error.raw_os_error())) {
            return;
        }
        let what = match operation {
            Operation::In => format!("read at sector {sector}"),
            Operation::Out => format!("write at sector {sector}"),
            Operation::Discard => format!("discard at sector {sector}"),
            Operation::WriteZeroes => format!("write of zeros at sector {sector}"),
            _ => "flush".into(),
        };
        log::error!("disk {disk}: {what} failed: {error}; the guest gets an I/O error (said once per error)");
    }

    /// The driver broke its queue, and the device stopped until it is reset.
    pub(super) fn driver(&self, disk: &str, queue: u16, error: &dyn std::error::Error) {
        if self.is_new(Fault::Driver) {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            log::warn!("disk {disk}: queue {queue} stops until the guest resets the device: {error}{cause}");
        }
    }

    /// `io_uring` can't be used.
    pub(super) fn no_ring(&self, disk: &str, error: &io::Error) {
        if self.is_new(Fault::Ring) {
            log::info!(
                "disk {disk}: io_uring can't be used here ({error}); a thread for each queue does the I/O"
            );
        }
    }

    fn is_new(&self, fault: Fault) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(fault)
    }
}
