//! The main thread's loop, with event-manager.

use std::{mem, os::fd::RawFd, time::Instant};

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

    /// Adds a source.
    pub(super) fn add(&mut self, source: Box<dyn Source>) {
        let subscriber = Subscriber { source, watched: Vec::new(), ready: Vec::new() };
        let id = self.manager.add_subscriber(subscriber);
        watch(&mut self.manager, id);
        self.ids.push(id);
    }

    /// Waits until a source has an event, at most until `deadline`. Returns the sources' requests, in the order in which the sources were
    /// added.
    ///
    /// # Errors
    ///
    /// The kernel refuses to wait.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Result<Vec<Request>, event_manager::Error> {
        let deadlines = self.ask(|source| source.deadline());
        self.manager.run_with_timeout(milliseconds_until(deadlines.into_iter().chain(deadline).min()))?;
        let now = Instant::now();
        let mut requests = Vec::new();
        let manager = &mut self.manager;
        self.ids.retain(|&id| {
            let ready = manager.subscriber_mut(id).map(|subscriber| mem::take(&mut subscriber.ready));
            let mut ready = ready.unwrap_or_default().into_iter();
            ready.all(|fd| call(manager, id, |source| source.ready(fd, &mut requests)))
                && (!is_due(manager, id, now) || call(manager, id, |source| source.on_time(&mut requests)))
        });
        Ok(requests)
    }

    /// Passes a notice to all sources.
    pub(super) fn tell(&mut self, notice: &Notice<'_>) {
        let manager = &mut self.manager;
        self.ids.retain(|&id| call(manager, id, |source| source.hear(notice)));
    }

    /// Returns whether the machine must not start yet because a source waits for a peer.
    pub(super) fn wait_for_peer(&mut self) -> bool {
        !self.ask(|source| source.waits_for_peer().then_some(())).is_empty()
    }

    /// The exit status that replaces the machine's `status`, if a source has one.
    pub(super) fn verdict(&mut self, status: u8) -> Option<u8> {
        self.ask(|source| source.verdict(status)).first().copied()
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
}

/// Returns whether the deadline of the source with this `id` has passed.
fn is_due(manager: &mut EventManager<Subscriber>, id: SubscriberId, now: Instant) -> bool {
    let deadline = manager.subscriber_mut(id).ok().and_then(|subscriber| subscriber.source.deadline());
    deadline.is_some_and(|deadline| deadline <= now)
}

/// Calls the source with this `id`, and updates its watched descriptors. Returns false if the source is over; it is dropped then.
fn call(
    manager: &mut EventManager<Subscriber>,
    id: SubscriberId,
    work: impl FnOnce(&mut dyn Source),
) -> bool {
    let Ok(subscriber) = manager.subscriber_mut(id) else { return false };
    work(&mut *subscriber.source);
    if subscriber.source.is_over() {
        // Its descriptors are removed from epoll before they are closed.
        return manager.remove_subscriber(id).is_err();
    }
    watch(manager, id);
    true
}

/// Updates the watched descriptors of the source with this `id`, with as few changes as possible.
fn watch(manager: &mut EventManager<Subscriber>, id: SubscriberId) {
    let Ok(subscriber) = manager.subscriber_mut(id) else { return };
    let mut wanted = subscriber.source.watches();
    if wanted == subscriber.watched {
        return;
    }
    let before = mem::take(&mut subscriber.watched);
    let Ok(mut ops) = manager.event_ops(id) else { return };
    // It fails only if a table is full, or if a source has closed its descriptor too early.
    let done = |change: Result<(), event_manager::Error>| {
        change.inspect_err(|error| log::error!("epoll: {error}")).is_ok()
    };
    for events in &before {
        if wanted.iter().all(|wanted| wanted.fd() != events.fd()) {
            done(ops.remove(*events));
        }
    }
    wanted.retain(|events| match before.iter().find(|before| before.fd() == events.fd()) {
        Some(before) if before == events => true,
        Some(_) => done(ops.modify(*events)),
        None => done(ops.add(*events)),
    });
    if let Ok(subscriber) = manager.subscriber_mut(id) {
        subscriber.watched = wanted;
    }
}

/// The time left in whole milliseconds, rounded up; -1 if there is no deadline.
fn milliseconds_until(deadline: Option<Instant>) -> i32 {
    deadline.map_or(-1, |deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    })
}

/// A source in event-manager's loop. It records which descriptors are ready.
struct Subscriber {
    source: Box<dyn Source>,
    /// The descriptors that are in epoll.
    watched: Vec<Events>,
    ready: Vec<RawFd>,
}

impl MutEventSubscriber for Subscriber {
    /// See [`watch`].
    fn init(&mut self, _: &mut EventOps) {}

    fn process(&mut self, events: Events, _: &mut EventOps) {
        self.ready.push(events.fd());
    }
}

#[cfg(test)]
#[path = "sources_test.rs"]
mod tests;
