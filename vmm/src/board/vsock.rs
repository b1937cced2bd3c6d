//! `--vsock`: connections between programs of the guest and of the host.

use std::sync::Arc;

use anyhow::Context;
use devices::{
    printable::ToPrintable,
    virtio::vsock::{Host, Vsock},
};

use super::{Board, HostSide, OpenDevice, Opening};
use crate::config::VsockConfig;

/// The unix socket of a socket device.
#[derive(Clone, Debug)]
pub(super) struct OpenVsock(Arc<Host>);

impl OpenVsock {
    /// Makes the socket. For a machine that will not run, none is made.
    ///
    /// # Errors
    ///
    /// Another program or file is there, or the host refuses.
    pub(super) fn open(config: &VsockConfig, opening: &Opening<'_>) -> anyhow::Result<Self> {
        let VsockConfig { cid, path } = config;
        let host = match opening.link {
            Some(_) => Host::listen(*cid, path).with_context(|| format!("--vsock cid={cid}"))?,
            None => Host::planned(*cid, path),
        };
        Ok(Self(Arc::new(host)))
    }
}

impl OpenDevice for OpenVsock {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let plugged = board.virtio(Box::new(Vsock::new(Arc::clone(&self.0))), Arc::new(self.clone()));
        plugged.context("virtio-vsock can't be plugged in (leave out --vsock)")?;
        Ok(())
    }
}

impl HostSide for OpenVsock {
    fn name(&self) -> String {
        format!("vsock {}", self.0.path().printable())
    }

    fn backend(&self) -> Option<String> {
        Some(format!("cid {} at {}", self.0.cid(), self.0.path().printable()))
    }
}
