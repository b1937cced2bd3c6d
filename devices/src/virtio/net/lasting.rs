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

/// A network device's options, and what it keeps through resets. Clones share it.
#[derive(Clone, Debug)]
pub struct Lasting {
    /// The user's choices.
    pub options: NetOptions,
    /// The frames that passed.
    pub counters: Arc<Counters>,
    pub(super) link: Arc<Link>,
    /// The driver's, which a reset ends.
    pub(super) settings: Arc<Settings>,
}

/// The link, and what was said about it.
#[derive(Debug)]
pub(super) struct Link {
    /// The user has not taken it down.
    wanted: AtomicBool,
    /// The host's side can't be used any more.
    gone: AtomicBool,
    /// The driver is to announce itself.
    announce: AtomicBool,
    pub(super) said_gone: Once,
    pub(super) said_not_sent: Once,
    pub(super) said_broken: Once,
}

impl Lasting {
    /// Takes the link up or down. While it is down, frames are dropped. The driver hears of it when the device is next
    /// measured.
    pub fn set_link(&self, up: bool) {
        self.link.wanted.store(up, Ordering::Relaxed);
    }

    /// Has the driver tell the network where it is, if it knows how, when the device is next measured.
    pub fn announce(&self) {
        self.link.announce.store(true, Ordering::Relaxed);
    }

    /// Returns what the driver wants to receive.
    #[must_use]
    pub fn rx_filter(&self) -> RxFilter {
        let (state, _) = self.settings.get();
        state.filter.tell(state.mac)
    }

    /// Returns whether the link is up: nobody has taken it down, and the host's side is there.
    #[must_use]
    pub fn link_is_up(&self) -> bool {
        self.link.is_up()
    }
}

/// That of a device that has done nothing yet, with its link up.
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

    /// Returns whether nobody has taken it down.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Returns whether the driver is to announce itself, once for each time that this was asked for.
    pub(super) fn take_announce(&self) -> bool {
        self.announce.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Takes it down for good, as the host's side of this name is gone. Returns whether it was up.
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
