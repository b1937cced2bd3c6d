//! The state of a network device that outlives its resets.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    counters::Counters,
    filter::RxFilter,
    options::NetOptions,
    state::{Settings, State},
};
use crate::once::Once;

/// A network device's options, and its state that outlives resets. Clones share it.
#[derive(Clone, Debug)]
pub struct Lasting {
    /// The user's options.
    pub options: NetOptions,
    /// The counters of frames.
    pub counters: Arc<Counters>,
    pub(super) link: Arc<Link>,
    /// The driver's settings, which a reset ends.
    pub(super) settings: Arc<Settings>,
}

/// The link, and messages about it.
#[derive(Debug)]
pub(super) struct Link {
    /// The user has it up.
    wanted: AtomicBool,
    /// The host's side can't be used any more.
    gone: AtomicBool,
    /// The driver should announce itself.
    announce: AtomicBool,
    pub(super) said_gone: Once,
    pub(super) said_not_sent: Once,
    pub(super) said_broken: Once,
}

impl Lasting {
    /// Takes the link up or down. While it is down, frames are dropped. The driver is notified when the device is next measured.
    pub fn set_link(&self, up: bool) {
        self.link.wanted.store(up, Ordering::Relaxed);
    }

    /// Makes the driver announce itself to the network, if it can, when the device is next measured.
    pub fn announce(&self) {
        self.link.announce.store(true, Ordering::Relaxed);
    }

    /// Returns the frames that the driver wants.
    #[must_use]
    pub fn rx_filter(&self) -> RxFilter {
        let (state, _) = self.settings.get();
        state.filter.tell(state.mac)
    }

    /// Returns whether the link is up: the user has not taken it down, and the host's side exists.
    #[must_use]
    pub fn link_is_up(&self) -> bool {
        self.link.is_up()
    }
}

/// Makes the state of a device that has done nothing yet. Its link is up.
impl From<NetOptions> for Lasting {
    fn from(options: NetOptions) -> Self {
        let counters = Arc::new(Counters::new(options.pairs));
        let settings = Arc::new(Settings::new(State::new(&options)));
        Self { options, counters, link: Arc::default(), settings }
    }
}

impl Link {
    pub(super) fn is_up(&self) -> bool {
        self.is_wanted() && !self.is_gone()
    }

    /// Returns whether the user has it up.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Returns whether the driver should announce itself, once for each request.
    pub(super) fn take_announce(&self) -> bool {
        self.announce.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Takes the link down for good, because the host's side with this name is gone. Returns whether it was up.
    pub(super) fn set_gone(&self, host: &str, error: &io::Error) -> bool {
        self.said_gone.warn(format_args!(
            "net {host}: the host's side is gone ({error}); the guest sees its link down"
        ));
        !self.gone.swap(true, Ordering::Relaxed) && self.is_wanted()
    }
}

impl Default for Link {
    fn default() -> Self {
        Self {
            wanted: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            announce: AtomicBool::new(false),
            said_gone: Once::default(),
            said_not_sent: Once::default(),
            said_broken: Once::default(),
        }
    }
}
