//! The screen of a machine, with its input devices and viewers.

use std::sync::{Arc, Mutex, Weak};

use arch::boot::Framebuffer;
use devices::{
    display::Screen,
    input::{Hub, Typist},
    pci::PciAddress,
};

use crate::vnc::Server;

/// A machine's screen, with its keyboard and its tablet.
#[derive(Clone, Debug)]
pub(crate) struct PluggedScreen {
    /// The PCI address of its adapter.
    pub(crate) address: PciAddress,
    /// The monitor.
    pub(crate) screen: Arc<dyn Screen>,
    /// The mode that is set for a kernel, if there is no firmware to set one.
    pub(crate) framebuffer: Option<Framebuffer>,
    /// The typist that presses keys for programs.
    pub(crate) typist: Arc<Mutex<Typist>>,
    /// The connection to the keyboard and the tablet.
    pub(crate) input: Arc<Hub>,
    /// The VNC server.
    pub(crate) viewers: Option<Viewers>,
}

/// A VNC server.
#[derive(Clone, Debug)]
pub(crate) struct Viewers {
    /// The address at which viewers connect, for people.
    pub(crate) place: String,
    /// The server. Its opener owns it, so that it ends with nvmm even if the machine still exists.
    server: Weak<Server>,
}

impl Viewers {
    /// Viewers that connect at `place`; without a server, none can connect yet.
    pub(super) fn new(place: &str, server: Option<&Arc<Server>>) -> Self {
        Self { place: place.to_owned(), server: server.map(Arc::downgrade).unwrap_or_default() }
    }

    /// The server, while it exists.
    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        self.server.upgrade()
    }
}
