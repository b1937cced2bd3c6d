//! Watches the host's side of a network device, which may disappear.

use std::{
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
};

use devices::net::Network;
use event_manager::{EventSet, Events};

use crate::source::{Command, Request, Source};

/// Notices the end of a network device's host's side, whatever its driver does.
#[derive(Debug)]
pub(super) struct Watch {
    host: Arc<dyn Network>,
    is_over: bool,
}

impl Watch {
    pub(super) fn new(host: Arc<dyn Network>) -> Self {
        Self { is_over: host.news().is_none(), host }
    }
}

impl Source for Watch {
    fn watches(&mut self) -> Vec<Events> {
        let news = self.host.news().filter(|_| !self.is_over);
        news.iter().map(|news| Events::new_raw(news.as_raw_fd(), EventSet::IN)).collect()
    }

    fn ready(&mut self, _fd: RawFd, requests: &mut Vec<Request>) {
        if self.host.check().is_err() {
            self.is_over = true;
            requests.push(Request::Obey(Command::CheckNetworks));
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
