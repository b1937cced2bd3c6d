//! `--vsock`: connections between programs in the guest and on the host.

use std::sync::Arc;

use anyhow::Context;
use devices::{
    printable::ToPrintable,
    vhost::VhostVsock,
    virtio::vsock::{Host, KernelHost, KernelVsock, Vsock},
};

use super::{Board, HostSide, OpenDevice, Opening};
use crate::config::VsockConfig;

/// The host's side of a socket device.
#[derive(Clone, Debug)]
pub(super) enum OpenVsock {
    /// A unix socket.
    Unix(Arc<Host>),
    /// The kernel's vhost-vsock.
    Kernel(Arc<KernelHost>),
}

impl OpenVsock {
    /// Makes the socket, or opens the kernel's device. For a machine that will not run, neither happens.
    ///
    /// # Errors
    ///
    /// Another program or file is there, another guest has the address, or the host refuses.
    pub(super) fn open(config: &VsockConfig, opening: &Opening<'_>) -> anyhow::Result<Self> {
        let VsockConfig { cid, path } = config;
        let option = || format!("--vsock cid={cid}");
        Ok(match path {
            Some(path) => Self::Unix(Arc::new(match opening.link {
                Some(_) => Host::listen(*cid, path).with_context(option)?,
                None => Host::planned(*cid, path),
            })),
            None => {
                let vhost = match opening.link {
                    Some(_) => VhostVsock::open(*cid).with_context(option)?,
                    None => VhostVsock::planned(*cid),
                };
                Self::Kernel(Arc::new(KernelHost::new(Arc::new(vhost))))
            }
        })
    }
}

impl OpenDevice for OpenVsock {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let host_side = Arc::new(self.clone());
        let plugged = match self {
            Self::Unix(host) => board.virtio(Box::new(Vsock::new(Arc::clone(host))), host_side),
            Self::Kernel(host) => board.virtio(Box::new(KernelVsock::new(Arc::clone(host))), host_side),
        };
        plugged.context("virtio-vsock can't be plugged in (leave out --vsock)")?;
        Ok(())
    }
}

impl HostSide for OpenVsock {
    fn name(&self) -> String {
        match self {
            Self::Unix(host) => format!("vsock {}", host.path().printable()),
            Self::Kernel(host) => format!("vsock cid {}", host.cid()),
        }
    }

    fn backend(&self) -> Option<String> {
        Some(match self {
            Self::Unix(host) => format!("cid {} at {}", host.cid(), host.path().printable()),
            Self::Kernel(host) => format!("cid {} by the kernel's vhost-vsock", host.cid()),
        })
    }
}
