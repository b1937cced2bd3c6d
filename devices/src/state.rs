//! The states of devices, as a snapshot keeps them.
//!
//! ```text
//! Serial ── save ──▶ its State ──▶ DeviceState: version, JSON ──▶ a file
//! Serial ◀── load ── its State ◀── DeviceState ◀───────────────── the file, maybe damaged
//! ```
//!
//! A state has what the guest can see or has set. It goes to a device that was made as the first one was, by the same options: what
//! follows from these is not in it.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod hex;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt::Debug;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A device whose state a snapshot keeps.
pub trait Stateful: Send + Debug {
    /// The version of [`Stateful::State`]: one more than before whenever that changes in form or meaning.
    const VERSION: u32 = 1;

    /// The state. It is best without fields that others determine, and refuses those that it does not know.
    type State: Serialize + DeserializeOwned;

    /// The state while the machine is paused.
    ///
    /// # Errors
    ///
    /// The device is not paused.
    fn save(&self) -> Result<Self::State, StateError>;

    /// Takes up a state, in a device that was made as the first one was and has had no guest yet. Interrupt lines that were high are
    /// high then. The state may be of any file: it is refused, or does no more than a guest could do.
    ///
    /// # Errors
    ///
    /// The state does not fit the device, which can't be used any more.
    fn load(&mut self, state: Self::State) -> Result<(), StateError>;
}

/// A device that has nothing to keep.
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

/// A state as it is in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceState {
    /// [`Stateful::VERSION`] when it was saved.
    pub version: u32,
    /// [`Stateful::State`].
    pub state: Value,
}

/// [`Stateful`] for those who do not know the device.
pub trait SaveState: Send + Debug {
    /// The state while the machine is paused.
    ///
    /// # Errors
    ///
    /// Those of [`Stateful::save`].
    fn save_state(&self) -> Result<DeviceState, StateError>;

    /// Takes up a state.
    ///
    /// # Errors
    ///
    /// Those of [`Stateful::load`], or it has another version or another form.
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

/// Why a device can't give its state, or take one up.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Its threads may still change it.
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
    /// Fields are missing, or have values that they can't have.
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
        /// The device that it is of.
        found: String,
        /// The device that it is given to.
        expected: &'static str,
    },
    /// A PCI function that differs in what its guest can't set.
    #[error("this is the state of another pci function than this {0}, or of one in another version of nvmm")]
    Function(&'static str),
    /// Features that this device does not offer.
    #[error("its driver uses features {0:#x}, which this {1} does not all offer")]
    Features(u64, &'static str),
    /// Another number of queues or interrupt vectors, or a larger or smaller queue.
    #[error("its queues or interrupt vectors are not those of this {0}")]
    Shape(&'static str),
    /// The part of the device behind a transport.
    #[error("the part of the {0} makes no sense")]
    Own(&'static str, #[source] Box<Self>),
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
