//! The screen of a machine that is built, and what a person at it has.

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
    /// The address of the adapter that it is at.
    pub(crate) address: PciAddress,
    /// The monitor.
    pub(crate) screen: Arc<dyn Screen>,
    /// The mode that a kernel finds, if there is no firmware to set one.
    pub(crate) framebuffer: Option<Framebuffer>,
    /// The one who presses keys for programs.
    pub(crate) typist: Arc<Mutex<Typist>>,
    /// The way to keyboard and tablet.
    pub(crate) input: Arc<Hub>,
    /// The server for those who look at it from elsewhere.
    pub(crate) viewers: Option<Viewers>,
}

/// The server for those who look at a screen from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Viewers {
    /// The place where they connect, for people.
    pub(crate) place: String,
    /// Held by whoever opened it, so that it ends with nvmm though the machine stays.
    server: Weak<Server>,
}

impl Viewers {
    /// Viewers who connect at `place`; without a server, nobody does yet.
    pub(super) fn new(place: &str, server: Option<&Arc<Server>>) -> Self {
        Self { place: place.to_owned(), server: server.map(Arc::downgrade).unwrap_or_default() }
    }

    /// The server, while it is there.
    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        self.server.upgrade()
    }
}
