//! The command to move a machine.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

/// QEMU's default of `downtime-limit`.
pub(crate) const DOWNTIME: Duration = Duration::from_millis(300);

/// The command to move a machine.
#[derive(Clone, Debug)]
pub(crate) struct Migrate {
    /// A connection to the other side.
    pub(crate) socket: Arc<OwnedFd>,
    /// The longest time for which the machine should stand still.
    pub(crate) downtime: Duration,
    /// All memory is compared before the other side runs the machine.
    pub(crate) verify: bool,
}

impl PartialEq for Migrate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.socket, &other.socket)
            && (self.downtime, self.verify) == (other.downtime, other.verify)
    }
}

impl Eq for Migrate {}
