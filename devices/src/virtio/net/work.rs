//! The work on a network device's queues.

use std::{error::Error, fmt::Debug, sync::Arc};

use vmm_sys_util::eventfd::EventFd;

use super::{
    control::Control,
    features::{self, MQ},
    lasting::{Lasting, Link},
    receive::Receive,
    state::Settings,
    transmit::Transmit,
};
use crate::{
    net::Network,
    virtio::serve::{Handler, ServeError, Served},
};

/// Everything that the handlers of a running device share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) host: Arc<dyn Network>,
    pub(super) lasting: Lasting,
    pub(super) settings: Arc<Settings>,
    /// The negotiated features.
    pub(super) features: u64,
}

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

/// The part of a handler that depends on the queue's role.
#[derive(Debug)]
enum Job {
    Receive(Receive),
    Transmit(Transmit),
    Control(Control),
}

impl Role {
    /// The purpose of the queue with this number in a device of `pairs` queue pairs; none if it has no purpose: virtio 1.3, "Network
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

impl Shared {
    /// Returns the purpose of the queue with this number, if it has one.
    pub(super) fn role(&self, queue: u16) -> Option<Role> {
        Role::of(queue, self.lasting.options.pairs, self.features)
    }

    /// Makes the handler of the queue with this number. The handler of commands writes to `receivers` when the receive queues have to apply
    /// changed settings.
    pub(super) fn work(&self, queue: u16, receivers: &[Arc<EventFd>]) -> Work {
        let Self { host, lasting, settings, features } = self;
        let (pairs, link, host_name) = (lasting.options.pairs, Arc::clone(&lasting.link), host.name());
        let (host, settings) = (Arc::clone(host), Arc::clone(settings));
        let (name, job) = match self.role(queue).unwrap_or(Role::Control) {
            Role::Receive(pair) => {
                let receive = Receive::new(pair, host, lasting.clone(), settings, *features);
                (format!("rx{pair}"), Job::Receive(receive))
            }
            Role::Transmit(pair) => (
                format!("tx{pair}"),
                Job::Transmit(Transmit::new(pair, host, lasting.clone(), features::header_len(*features))),
            ),
            Role::Control => {
                let control = Control::new(host, settings, *features, pairs, receivers.to_vec());
                ("ctrl".to_owned(), Job::Control(control))
            }
        };
        Work { job, thread_name: format!("{name} {host_name}"), host: host_name, link }
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
