//! A network device's part in serving its queues.

use std::{error::Error, fmt::Debug, sync::Arc};

use super::{control::Control, features::MQ, lasting::Link, receive::Receive, transmit::Transmit};
use crate::virtio::serve::{Handler, ServeError, Served};

/// The purpose of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Frames to the guest, of this queue pair.
    Receive(u16),
    /// Frames from the guest.
    Transmit(u16),
    /// Commands.
    Control,
}

/// The handler of a queue.
#[derive(Debug)]
pub(super) struct Work {
    job: Job,
    thread_name: String,
    /// The name of the host's side.
    host: String,
    link: Arc<Link>,
}

/// The part of a handler that differs by the queue's role.
#[derive(Debug)]
pub(super) enum Job {
    Receive(Receive),
    Transmit(Transmit),
    Control(Control),
}

impl Role {
    /// The purpose of the queue of this number in a device of `pairs` queue pairs, if it has one: virtio 1.3, "Network
    /// Device", "Virtqueues".
    pub(super) fn of(queue: u16, pairs: u16, features: u64) -> Option<Self> {
        let control = if features & MQ != 0 { 2 * pairs } else { 2 };
        match queue {
            _ if queue == control => Some(Self::Control),
            _ if queue > control => None,
            _ if queue.is_multiple_of(2) => Some(Self::Receive(queue / 2)),
            _ => Some(Self::Transmit(queue / 2)),
        }
    }
}

impl Work {
    /// The handler of a queue in this role, on the host's side of this name.
    pub(super) fn new(role: Role, job: Job, host: String, link: Arc<Link>) -> Self {
        let queue = match role {
            Role::Receive(pair) => format!("rx{pair}"),
            Role::Transmit(pair) => format!("tx{pair}"),
            Role::Control => "ctrl".to_owned(),
        };
        Self { job, thread_name: format!("{queue} {host}"), host, link }
    }
}

impl Handler for Work {
    fn thread_name(&self, _: u16) -> String {
        self.thread_name.clone()
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        match &mut self.job {
            Job::Receive(receive) => receive.run(queue),
            Job::Transmit(transmit) => transmit.run(queue),
            Job::Control(control) => queue.serve_with(|chain, queue| control.serve(&chain, queue)),
        }
    }

    fn failed(&self, queue: u16, error: &ServeError) {
        let (name, cause) = (&self.host, error.source());
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        self.link.said_broken.warn(format_args!(
            "net {name}: queue {queue} stops until the guest resets the device: {error}{cause}"
        ));
    }
}
