//! The main thread's loop, on event-manager.

use std::{os::fd::RawFd, time::Instant};

use devices::output::Output;
use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberId, SubscriberOps};

use crate::source::{Notice, Request, Source};

/// The sources, and the loop that waits for them.
pub(super) struct Sources {
    manager: EventManager<Subscriber>,
    ids: Vec<SubscriberId>,
}

impl Sources {
    /// Makes a loop without sources.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(super) fn new() -> Result<Self, event_manager::Error> {
        Ok(Self { manager: EventManager::new()?, ids: Vec::new() })
    }

    /// Listens to another source.
    pub(super) fn add(&mut self, source: Box<dyn Source>) {
        let subscriber = Subscriber { source, ready: Vec::new() };
        self.ids.push(self.manager.add_subscriber(subscriber));
    }

    /// Waits until a source has something to say, and at most until `deadline`. Returns what the sources ask for, in the order in which
    /// they were added.
    ///
    /// # Errors
    ///
    /// The kernel refuses to wait.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Result<Vec<Request>, event_manager::Error> {
        let deadlines = self.ask(|source| source.deadline());
        self.manager.run_with_timeout(milliseconds_until(deadlines.into_iter().chain(deadline).min()))?;
        let now = Instant::now();
        let mut requests = Vec::new();
        self.serve(|subscriber| subscriber.is_due(now), |subscriber| subscriber.serve(now, &mut requests));
        Ok(requests)
    }

    /// Tells all sources.
    pub(super) fn tell(&mut self, notice: &Notice<'_>) {
        self.serve(|_| true, |subscriber| subscriber.source.hear(notice));
    }

    /// Returns whether the machine is not to start yet, as a source waits for a peer.
    pub(super) fn wait_for_peer(&mut self) -> bool {
        !self.ask(|source| source.waits_for_peer().then_some(())).is_empty()
    }

    /// The outputs of all sources, and their logs.
    pub(super) fn outputs(&mut self) -> Vec<Output> {
        let outputs = self.ask(|source| source.output());
        let logs: Vec<_> = outputs.iter().filter_map(|output| output.log().cloned()).collect();
        outputs.into_iter().chain(logs).collect()
    }

    fn ask<T>(&mut self, question: impl Fn(&dyn Source) -> Option<T>) -> Vec<T> {
        let manager = &mut self.manager;
        let answer = |id: &SubscriberId| question(&*manager.subscriber_mut(*id).ok()?.source);
        self.ids.iter().filter_map(answer).collect()
    }

    /// Has the sources that are `wanted` do `work`, and drops those that are over. Their descriptors are not watched meanwhile: `work`
    /// may close some, which event-manager must know before.
    fn serve(&mut self, wanted: impl Fn(&Subscriber) -> bool, mut work: impl FnMut(&mut Subscriber)) {
        let manager = &mut self.manager;
        self.ids.retain_mut(|id| {
            if manager.subscriber_mut(*id).is_ok_and(|subscriber| wanted(subscriber))
                && let Ok(mut subscriber) = manager.remove_subscriber(*id)
            {
                work(&mut subscriber);
                if subscriber.source.is_over() {
                    return false;
                }
                *id = manager.add_subscriber(subscriber);
            }
            true
        });
    }
}

/// The time left in whole milliseconds, not less; -1 is for ever.
fn milliseconds_until(deadline: Option<Instant>) -> i32 {
    deadline.map_or(-1, |deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    })
}

/// A source on event-manager's loop, which notes what is ready.
struct Subscriber {
    source: Box<dyn Source>,
    ready: Vec<RawFd>,
}

impl Subscriber {
    fn is_due(&self, now: Instant) -> bool {
        !self.ready.is_empty() || self.source.deadline().is_some_and(|deadline| deadline <= now)
    }

    fn serve(&mut self, now: Instant, requests: &mut Vec<Request>) {
        for fd in std::mem::take(&mut self.ready) {
            self.source.ready(fd, requests);
        }
        if self.source.deadline().is_some_and(|deadline| deadline <= now) {
            self.source.on_time(requests);
        }
    }
}

impl MutEventSubscriber for Subscriber {
    fn init(&mut self, ops: &mut EventOps) {
        for events in self.source.watches() {
            // Only a full descriptor table can make this fail.
            if let Err(error) = ops.add(events) {
                log::error!("epoll: {error}");
            }
        }
    }

    fn process(&mut self, events: Events, _: &mut EventOps) {
        self.ready.push(events.fd());
    }
}

#[cfg(test)]
#[path = "sources_test.rs"]
mod tests;
