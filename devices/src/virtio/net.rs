//! virtio 1.3, "Network Device": a network interface of the guest.

mod config;
mod control;
mod counters;
mod features;
mod filter;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod held;
mod lasting;
mod options;
mod receive;
mod saved;
mod state;
#[cfg(test)]
mod test_guest;
#[cfg(test)]
mod test_network;
mod transmit;
mod waits;
mod work;

use std::{io, sync::Arc, time::Duration};

use virtio_queue::Queue;
use zerocopy::IntoBytes;

use self::{
    config::{Config, Status},
    features::{CTRL_VQ, GUEST_ANNOUNCE, VERSION_1},
    frames::Frames,
    state::{Settings, State},
    work::{Role, Shared},
};
pub use self::{
    counters::{Counters, PairCounters, Reason, Tally, Total, Totals},
    filter::{RxFilter, RxState},
    lasting::Lasting,
    options::NetOptions,
};
use super::{
    device::{Activation, ActiveQueue, DeviceKind, Halt, VirtioDevice},
    serve::Workers,
};
use crate::{net::Network, pci::ClassCode, registers};

/// A network device; for PCI, an Ethernet controller.
const KIND: DeviceKind =
    DeviceKind { device_type: 1, class: ClassCode { base: 0x02, sub: 0, interface: 0 }, name: "virtio-net" };

/// virtio 1.3, "PCI Device Discovery".
const TRANSITIONAL_ID: u16 = 0x1000;

/// The size of the control queue, whose commands come one at a time.
const CONTROL_QUEUE_SIZE: u16 = 64;

/// A virtio-net device: the guest's side of a [`Network`].
#[derive(Debug)]
pub struct Net {
    host: Arc<dyn Network>,
    lasting: Lasting,
    /// The offered features.
    features: u64,
    queue_sizes: Vec<u16>,
    /// The state of the link that the driver knows.
    link_up: bool,
    settings: Arc<Settings>,
    /// The negotiated features; none before that.
    agreed: Option<u64>,
    workers: Workers,
    /// The queues that the kernel serves while the link is up, and those of them that have stopped while others have not.
    frames: Option<Frames>,
    stopped: Vec<(u16, Queue)>,
}

impl Net {
    /// Makes a device on `host`.
    pub fn new(host: Arc<dyn Network>, lasting: &Lasting) -> Self {
        let options = &lasting.options;
        lasting.settings.change(|state| *state = State::new(options));
        let queue_sizes = std::iter::repeat_n(options.queue_size, 2 * usize::from(options.pairs));
        Self {
            features: features::offered(&*host, options),
            queue_sizes: queue_sizes.chain([CONTROL_QUEUE_SIZE]).collect(),
            link_up: lasting.link_is_up(),
            settings: Arc::clone(&lasting.settings),
            agreed: None,
            workers: Workers::default(),
            frames: None,
            stopped: Vec::new(),
            lasting: lasting.clone(),
            host,
        }
    }

    /// Takes the link down for good if the host's side is gone. Returns whether it was up.
    fn check_host(&self) -> bool {
        self.host.check().is_err_and(|error| self.lasting.link.set_gone(&self.host.name(), &error))
    }

    /// Returns whether the driver can announce itself.
    fn can_announce(&self) -> bool {
        let announces = CTRL_VQ | GUEST_ANNOUNCE;
        self.agreed.unwrap_or(0) & announces == announces
    }
}

impl VirtioDevice for Net {
    fn kind(&self) -> DeviceKind {
        KIND
    }

    fn transitional_id(&self) -> Option<u16> {
        self.lasting.options.legacy.then_some(TRANSITIONAL_ID)
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let (state, _) = self.settings.get();
        let mut status = Status::empty();
        status.set(Status::LINK_UP, self.lasting.link_is_up());
        status.set(Status::ANNOUNCE, state.announce);
        let config = Config::new(&self.lasting.options, state.mac, status);
        data.fill(0);
        registers::read(config.as_bytes(), offset, data);
    }

    /// Legacy drivers write the address, bytewise or as a whole: virtio 1.3, "Legacy Interface: Device configuration layout".
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if self.agreed.is_some_and(|features| features & VERSION_1 == 0) {
            self.settings.change(|state| {
                let bytes = state.mac.iter_mut().skip(usize::try_from(offset).unwrap_or(usize::MAX));
                bytes.zip(data).for_each(|(byte, value)| *byte = *value);
            });
        }
    }

    fn measure(&mut self) -> io::Result<bool> {
        let announces = self.lasting.link.take_announce() && self.can_announce();
        if announces {
            self.settings.change(|state| state.announce = true);
        }
        self.check_host();
        let link_up = self.lasting.link_is_up();
        let changed = std::mem::replace(&mut self.link_up, link_up) != link_up;
        if let Some(frames) = &mut self.frames {
            frames.follow_link()?;
        }
        Ok(changed || announces)
    }

    fn features_agreed(&mut self, features: u64) {
        self.agreed = Some(features);
        self.settings.change(|state| state.guest_offloads = features::guest_offload_bits(features));
    }

    fn activate(&mut self, mut activation: Activation) -> io::Result<()> {
        let features = activation.features;
        if self.agreed != Some(features) {
            self.features_agreed(features);
        }
        let (state, _) = self.settings.get();
        let given = self.host.give(features::guest_offloads(state.guest_offloads));
        let header_len = features::header_len(features);
        let ready = given.and_then(|()| self.host.set_header_len(header_len));
        let ready = ready.and_then(|()| self.host.use_ports(state.pairs));
        // A tap may have been deleted. The driver still has a device, with its link down: one without a device would wait for it.
        let gone = ready.is_err_and(|error| self.lasting.link.set_gone(&self.host.name(), &error));
        // After a move to another machine, the driver may know another state of the link.
        let differs = self.link_up != self.lasting.link_is_up();
        if self.check_host() || gone || state.announce || differs {
            activation.notify.config_changed();
        }
        let (host, lasting, settings) =
            (Arc::clone(&self.host), self.lasting.clone(), Arc::clone(&self.settings));
        let shared = Shared { host, lasting, settings, features };
        activation.queues.retain(|active| shared.role(active.index).is_some());
        let receivers = activation
            .queues
            .iter()
            .filter(|active| matches!(shared.role(active.index), Some(Role::Receive(_))));
        let receivers = receivers.map(|active| active.kick.try_clone().map(Arc::new));
        let receivers = receivers.collect::<io::Result<Vec<_>>>()?;
        if self.host.vhost(0).is_some() {
            let is_control = |active: &ActiveQueue| shared.role(active.index) == Some(Role::Control);
            let (control, of_frames) = activation.queues.into_iter().partition(is_control);
            activation.queues = control;
            let (memory, notify) = (activation.memory.clone(), Arc::clone(&activation.notify));
            self.frames = Some(Frames::start(shared.clone(), memory, notify, of_frames)?);
        }
        self.workers.start(activation, |queue, _| shared.work(queue, &receivers))
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        if let Some(frames) = &mut self.frames {
            self.stopped = frames.stop(halt, patience)?;
            self.frames = None;
        }
        let control = self.workers.stop(halt, patience)?;
        let mut queues = std::mem::take(&mut self.stopped);
        queues.extend(control);
        Some(queues)
    }

    fn reset(&mut self) {
        self.frames = None;
        self.stopped.clear();
        self.workers.end();
        self.agreed = None;
        self.settings.change(|state| *state = State::new(&self.lasting.options));
    }
}

#[cfg(test)]
#[path = "net/legacy_test.rs"]
mod legacy_tests;
