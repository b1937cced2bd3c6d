//! A function's state in the form in which it is saved. It is loaded into a device that was made like the saved one.

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
use crate::state::{DeviceState, StateError};

/// The common configuration, the positions of the queues, and the device's state.
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
    /// The queues that the device serves, by index.
    served: BTreeMap<u16, Positions>,
    interrupts: InterruptState,
    own: DeviceState,
}

/// The device's positions in the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Positions {
    next_avail: u16,
    next_used: u16,
}

impl Common {
    /// Saves the state of a paused device.
    ///
    /// # Errors
    ///
    /// The device is still running.
    pub(in super::super) fn save(&self) -> Result<CommonState, StateError> {
        let paused = self.paused.as_ref().ok_or(StateError::Running)?;
        let served = paused.iter().map(|(index, queue)| {
            (*index, Positions { next_avail: queue.next_avail(), next_used: queue.next_used() })
        });
        Ok(CommonState {
            device: self.device.kind().name.to_owned(),
            device_feature_select: self.device_feature_select,
            driver_feature_select: self.driver_feature_select,
            driver_features: self.driver_features,
            queue_select: self.queue_select,
            legacy: self.legacy,
            queues: self.queues.clone(),
            served: served.collect(),
            interrupts: self.interrupts.save(),
            own: self.device.save_state()?,
        })
    }

    /// Loads `state`. The device is paused afterwards.
    ///
    /// # Errors
    ///
    /// The state does not belong to this device, which can't be used any more.
    pub(in super::super) fn load(&mut self, state: &CommonState) -> Result<(), StateError> {
        let name = self.device.kind().name;
        if self.interrupts.status() != Status::empty() {
            return Err(StateError::InUse(name));
        }
        if state.device != name {
            return Err(StateError::Device { found: state.device.clone(), expected: name });
        }
        let same_queues = state.queues.len() == self.queues.len()
            && state.queues.iter().zip(&self.queues).all(|(a, b)| a.max_size() == b.max_size());
        if !same_queues || !self.interrupts.load(&state.interrupts) {
            return Err(StateError::Shape(name));
        }
        if state.queues.iter().any(|queue| queue.enabled() && !queue.is_valid(&self.memory)) {
            return Err(StateError::Nonsense("an enabled queue is not in memory"));
        }
        self.queues.clone_from(&state.queues);
        self.driver_features = state.driver_features;
        self.device_feature_select = state.device_feature_select;
        self.driver_feature_select = state.driver_feature_select;
        self.queue_select = state.queue_select;
        self.legacy = state.legacy;

        let status = self.interrupts.status();
        if self.legacy && (status.is_empty() || self.device.transitional_id().is_none()) {
            return Err(StateError::Nonsense("a legacy driver of a device that none can use"));
        }
        if self.legacy || status.contains(Status::FEATURES_OK) {
            if !self.features_agreed() {
                return Err(StateError::Features(state.driver_features, name));
            }
            self.device.features_agreed(self.driver_features);
        }
        let may_serve = self.legacy || status.contains(Status::FEATURES_OK | Status::DRIVER_OK);
        let mut paused = Vec::new();
        for (&index, positions) in &state.served {
            let queue = self.queues.get(usize::from(index)).filter(|queue| may_serve && queue.enabled());
            let queue =
                queue.ok_or(StateError::Nonsense("a queue is served before its driver enabled it"))?;
            let mut queue = queue.queue(self.event_idx()).map_err(|_| StateError::Shape(name))?;
            queue.set_next_avail(positions.next_avail);
            queue.set_next_used(positions.next_used);
            paused.push((index, queue));
        }
        self.device.load_state(&state.own).map_err(|error| StateError::Own(name, error.into()))?;
        self.activated = status.contains(Status::DRIVER_OK) || !paused.is_empty();
        self.paused = Some(paused);
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
