//! The tablet of a machine with a screen.

use std::sync::Arc;

use devices::virtio::input::{Reports, Tablet};

use super::{Board, HostSide};

/// The host's side of the tablet: the source of the pointer's movements.
#[derive(Debug)]
struct Pen;

/// Plugs in the tablet after all other PCI functions. It passes `reports` to the guest.
pub(super) fn plug(board: &mut Board, reports: &Arc<Reports>) {
    board.virtio_last(Box::new(Tablet::new(Arc::clone(reports))), Arc::new(Pen));
}

impl HostSide for Pen {
    fn name(&self) -> String {
        "the tablet".to_owned()
    }

    fn backend(&self) -> Option<String> {
        None
    }
}
