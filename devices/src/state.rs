//! The states of devices, as saved in a snapshot.
//!
//! ```text
//! Serial ── save ──▶ its State ──▶ DeviceState: version, JSON ──▶ a file
//! Serial ◀── load ── its State ◀── DeviceState ◀───────────────── the file, maybe damaged
//! ```
//!
//! A state contains what the guest can see or has set. It is loaded into a device that was made with the same options as the saved one: it
//! leaves out everything that follows from these.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod hex;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt::Debug;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A device with state to save.
pub trait Stateful: Send + Debug {
    /// The version of [`Stateful::State`], which is increased whenever its form or meaning changes.
    const VERSION: u32 = 1;

    /// The state. It should have no fields that follow from others, and refuse unknown ones.
    type State: Serialize + DeserializeOwned;

    /// Saves the state. The machine is paused.
    ///
    /// # Errors
    ///
    /// The device is not paused.
    fn save(&self) -> Result<Self::State, StateError>;

    /// Loads a state into a device that was made like the saved one and has not been used. Afterwards, the interrupt lines are as high or
    /// low as they were. The state may come from any file: it is refused, or does no more than a guest could do.
    ///
    /// # Errors
    ///
    /// The state does not fit the device, which can't be used any more.
    fn load(&mut self, state: Self::State) -> Result<(), StateError>;
}

/// A device without state to save.
pub trait Stateless: Send + Debug {}

impl<D: Stateless> Stateful for D {
    type State = ();

    fn save(&self) -> Result<(), StateError> {
        Ok(())
    }

    fn load(&mut self, (): ()) -> Result<(), StateError> {
        Ok(())
    }
}

/// A state in the form in which it is in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceState {
    /// The [`Stateful::VERSION`] when it was saved.
    pub version: u32,
    /// [`Stateful::State`].
    pub state: Value,
}

/// [`Stateful`] for callers that don't know the device's type.
pub trait SaveState: Send + Debug {
    /// Saves the state. The machine is paused.
    ///
    /// # Errors
    ///
    /// The errors of [`Stateful::save`].
    fn save_state(&self) -> Result<DeviceState, StateError>;

    /// Loads a state.
    ///
    /// # Errors
    ///
    /// The errors of [`Stateful::load`]; or the state has another version or another form.
    fn load_state(&mut self, state: &DeviceState) -> Result<(), StateError>;
}

impl<D: Stateful> SaveState for D {
    fn save_state(&self) -> Result<DeviceState, StateError> {
        let state = serde_json::to_value(self.save()?).map_err(StateError::Form)?;
        Ok(DeviceState { version: D::VERSION, state })
    }

    fn load_state(&mut self, state: &DeviceState) -> Result<(), StateError> {
        if state.version != D::VERSION {
            return Err(StateError::Version { found: state.version, known: D::VERSION });
        }
        self.load(D::State::deserialize(&state.state).map_err(StateError::Form)?)
    }
}

/// Reasons why a device can't save or load a state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The device's threads may still change the state.
    #[error("it has not stopped yet")]
    Running,
    /// Another version of nvmm saved it.
    #[error("its state has version {found}, and this nvmm knows version {known}")]
    Version {
        /// The version of the state.
        found: u32,
        /// The version that this nvmm knows.
        known: u32,
    },
    /// Fields are missing, or have impossible values.
    #[error("its state is not in the form of this device's")]
    Form(#[source] serde_json::Error),
    /// No guest can bring a device into this state.
    #[error("it makes no sense: {0}")]
    Nonsense(&'static str),
    /// A guest has used the device already.
    #[error("the {0} already has a driver")]
    InUse(&'static str),
    /// The state is of another device.
    #[error("this is the state of a {found}, not of a {expected}")]
    Device {
        /// The device that was saved.
        found: String,
        /// The device that has to load it.
        expected: &'static str,
    },
    /// A PCI function with other values in fields that the guest can't set.
    #[error("this is the state of another pci function than this {0}, or of one in another version of nvmm")]
    Function(&'static str),
    /// Features that this device does not offer.
    #[error("its driver uses features {0:#x}, which this {1} does not all offer")]
    Features(u64, &'static str),
    /// Another number of queues or interrupt vectors, or a larger or smaller queue.
    #[error("its queues or interrupt vectors are not those of this {0}")]
    Shape(&'static str),
    /// The state of the device itself, apart from its transport, makes no sense.
    #[error("the part of the {0} makes no sense")]
    Own(&'static str, #[source] Box<Self>),
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
