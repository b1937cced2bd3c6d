//! A function's state on its way to a file and back, to a device that was made as the first one was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use virtio_queue::QueueT;

use super::{
    super::{
        interrupt::{InterruptState, Status},
        queue::QueueRegisters,
    },
    Common,
};

/// The common configuration, the positions of the queues, and the device's own state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct CommonState {
    /// The name of the device's kind.
    device: String,
    device_feature_select: u32,
    driver_feature_select: u32,
    driver_features: u64,
    queue_select: u16,
    legacy: bool,
    queues: Vec<QueueRegisters>,
    /// Those that the device serves, by their numbers.
    served: BTreeMap<u16, Positions>,
    interrupts: InterruptState,
    own: serde_json::Value,
}

/// The positions of a device in the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Positions {
    next_avail: u16,
    next_used: u16,
}

/// Why a device can't take up a state.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not as it was made.
    #[error("the {0} already has a driver")]
    InUse(&'static str),
    /// It is another device's.
    #[error("this is the state of a {found}, not of a {expected}")]
    Device {
        /// The device that it is of.
        found: String,
        /// The device that it is given to.
        expected: &'static str,
    },
    /// Features that this device does not offer.
    #[error("its driver uses features {0:#x}, which this {1} does not all offer")]
    Features(u64, &'static str),
    /// Another number of queues or interrupt vectors, or a larger or smaller queue.
    #[error("its queues or interrupt vectors are not those of this {0}")]
    Shape(&'static str),
    /// A state that no driver and device can have come to.
    #[error("it makes no sense: {0}")]
    Nonsense(&'static str),
    /// The device's own part.
    #[error("the part of the {0} makes no sense")]
    Own(&'static str, #[source] serde_json::Error),
}

impl Common {
    /// The state of a device that is paused.
    pub(in super::super) fn save(&self) -> Option<CommonState> {
        let paused = self.paused.as_ref()?;
        let served = paused.iter().map(|(index, queue)| {
            (*index, Positions { next_avail: queue.next_avail(), next_used: queue.next_used() })
        });
        Some(CommonState {
            device: self.device.kind().name.to_owned(),
            device_feature_select: self.device_feature_select,
            driver_feature_select: self.driver_feature_select,
            driver_features: self.driver_features,
            queue_select: self.queue_select,
            legacy: self.legacy,
            queues: self.queues.clone(),
            served: served.collect(),
            interrupts: self.interrupts.save(),
            own: self.device.save(),
        })
    }

    /// Takes up `state`: the device is paused then.
    ///
    /// # Errors
    ///
    /// The state is not this device's, and the device is to be thrown away.
    pub(in super::super) fn load(&mut self, state: &CommonState) -> Result<(), LoadError> {
        let name = self.device.kind().name;
        if self.interrupts.status() != Status::empty() {
            return Err(LoadError::InUse(name));
        }
        if state.device != name {
            return Err(LoadError::Device { found: state.device.clone(), expected: name });
        }
        let same_queues = state.queues.len() == self.queues.len()
            && state.queues.iter().zip(&self.queues).all(|(a, b)| a.max_size() == b.max_size());
        if !same_queues || !self.interrupts.load(&state.interrupts) {
            return Err(LoadError::Shape(name));
        }
        if state.queues.iter().any(|queue| queue.enabled() && !queue.is_valid(&self.memory)) {
            return Err(LoadError::Nonsense("an enabled queue is not in memory"));
        }
        self.queues.clone_from(&state.queues);
        self.driver_features = state.driver_features;
        self.device_feature_select = state.device_feature_select;
        self.driver_feature_select = state.driver_feature_select;
        self.queue_select = state.queue_select;
        self.legacy = state.legacy;

        let status = self.interrupts.status();
        if self.legacy && (status.is_empty() || self.device.transitional_id().is_none()) {
            return Err(LoadError::Nonsense("a legacy driver of a device that none can use"));
        }
        if self.legacy || status.contains(Status::FEATURES_OK) {
            if !self.features_agreed() {
                return Err(LoadError::Features(state.driver_features, name));
            }
            self.device.features_agreed(self.driver_features);
        }
        let may_serve = self.legacy || status.contains(Status::FEATURES_OK | Status::DRIVER_OK);
        let mut paused = Vec::new();
        for (&index, positions) in &state.served {
            let queue = self.queues.get(usize::from(index)).filter(|queue| may_serve && queue.enabled());
            let queue = queue.ok_or(LoadError::Nonsense("a queue is served before its driver enabled it"))?;
            let mut queue = queue.queue(self.event_idx()).map_err(|_| LoadError::Shape(name))?;
            queue.set_next_avail(positions.next_avail);
            queue.set_next_used(positions.next_used);
            paused.push((index, queue));
        }
        self.device.load(&state.own).map_err(|error| LoadError::Own(name, error))?;
        self.activated = status.contains(Status::DRIVER_OK) || !paused.is_empty();
        self.paused = Some(paused);
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
