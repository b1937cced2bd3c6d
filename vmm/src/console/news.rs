//! News of the machine's thread, as a source.

use std::os::fd::RawFd;

use event_manager::{EventSet, Events};

use super::source::{Request, Source};
use crate::link::Inbox;

impl Source for Inbox {
    fn watches(&mut self) -> Vec<Events> {
        vec![Events::new(self, EventSet::IN)]
    }

    fn ready(&mut self, _: RawFd, requests: &mut Vec<Request>) {
        requests.extend(self.take().map(Request::News));
    }
}
