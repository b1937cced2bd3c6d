//! The host's side of a network device of a machine that will not run.

use std::{
    io::{self, ErrorKind},
    os::fd::RawFd,
    sync::Arc,
};

use devices::net::{Network, Offloads, Port};
use vm_memory::VolatileSlice;

use crate::config::NetConfig;

/// A host's side that is not opened.
#[derive(Debug)]
pub(super) struct Planned {
    name: String,
    ports: u16,
}

impl Planned {
    /// The host's side that a device would have.
    pub(super) fn of(config: &NetConfig) -> Arc<dyn Network> {
        Arc::new(Self { name: config.host.to_string(), ports: config.queues })
    }
}

impl Network for Planned {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn most_ports(&self) -> u16 {
        self.ports
    }

    fn use_ports(&self, _ports: u16) -> io::Result<()> {
        Ok(())
    }

    fn port(&self, _index: u16) -> &dyn Port {
        self
    }

    fn set_header_len(&self, _len: usize) -> io::Result<()> {
        Ok(())
    }

    fn takes(&self) -> Offloads {
        Offloads::empty()
    }

    fn gives(&self) -> Offloads {
        Offloads::empty()
    }

    fn give(&self, _offloads: Offloads) -> io::Result<()> {
        Ok(())
    }
}

/// No frames come or go.
impl Port for Planned {
    fn descriptor(&self) -> RawFd {
        -1
    }

    fn receive(&self, _buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn send(&self, _buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }
}
