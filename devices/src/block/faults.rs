//! Logs each kind of error once: neither a failing disk nor a guest may flood the log.

use std::{
    collections::BTreeSet,
    fmt, io,
    sync::{Mutex, PoisonError},
};

use super::counters::RequestKind;

/// The errors of a disk that were logged already. They outlive resets of the device and of the machine, which a guest can do as often as it
/// likes.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<BTreeSet<Fault>>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Disk(RequestKind, Option<i32>),
    Driver,
    Ring,
}

impl Faults {
    /// Logs that the host failed a request of this `kind`, and that the guest got an error.
    pub(crate) fn disk(&self, disk: &str, kind: RequestKind, sector: u64, error: &io::Error) {
        if !self.is_new(Fault::Disk(kind, error.raw_os_error())) {
            return;
        }
        let what = match kind {
            RequestKind::Read => format!("read at sector {sector}"),
            RequestKind::Write => format!("write at sector {sector}"),
            RequestKind::Discard => format!("discard at sector {sector}"),
            RequestKind::WriteZeroes => format!("write of zeros at sector {sector}"),
            RequestKind::Flush => "flush".into(),
        };
        log::error!("disk {disk}: {what} failed: {error}; the guest gets an I/O error (said once per error)");
    }

    /// Logs that the driver broke `part`, such as a queue, which stops until the device is reset.
    pub(crate) fn driver(&self, disk: &str, part: fmt::Arguments<'_>, error: &dyn std::error::Error) {
        if self.is_new(Fault::Driver) {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            log::warn!("disk {disk}: {part} stops until the guest resets the device: {error}{cause}");
        }
    }

    /// Logs that `io_uring` can't be used.
    pub(crate) fn no_ring(&self, disk: &str, error: &io::Error) {
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
