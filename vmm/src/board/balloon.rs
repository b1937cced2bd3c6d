//! `--balloon`: memory that the guest returns to the host.

use std::sync::Arc;

use anyhow::Context;
use devices::virtio::balloon::{Balloon, Control};

use super::{Board, HostSide, OpenDevice};
use crate::{size::Size, taken_back::TakenBack};

/// The balloon of a machine.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryBalloon(Arc<Control>);

impl OpenDevice for MemoryBalloon {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let balloon = Balloon::new(Arc::clone(&self.0), Arc::new(TakenBack::new(board.memory())));
        let plugged = board.virtio(Box::new(balloon), Arc::new(self.clone()));
        plugged.context("virtio-balloon can't be plugged in (leave out --balloon)")?;
        Ok(())
    }

    fn host_side(&self) -> Option<&dyn HostSide> {
        Some(self)
    }
}

impl HostSide for MemoryBalloon {
    fn name(&self) -> String {
        "balloon".to_owned()
    }

    fn backend(&self) -> Option<String> {
        None
    }

    fn work(&self) -> Option<String> {
        let (holds, taken) = (Size(self.0.actual()), Size(self.0.reclaimed()));
        Some(format!("it holds {holds}; {taken} given back to the host"))
    }
}
