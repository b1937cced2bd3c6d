//! The devices whose states are saved besides those of PCI functions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use devices::state::{DeviceState, SaveState};

/// The states of a machine's devices, by address.
pub type DeviceStates = BTreeMap<String, DeviceState>;

/// A device that is no PCI function.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// The address, such as `port 0x3f8`.
    pub(super) place: String,
    /// The name, for people.
    pub(super) name: &'static str,
    pub(super) device: Arc<Mutex<dyn SaveState>>,
}

/// The name used as the flash chip's address.
pub(super) const FLASH: &str = "flash";

impl Kept {
    /// A device with ports from `first` on.
    pub(super) fn ports(first: u16, name: &'static str, device: Arc<Mutex<dyn SaveState>>) -> Self {
        Self { place: format!("port {first:#x}"), name, device }
    }

    /// The flash chip.
    pub(super) fn flash(device: Arc<Mutex<dyn SaveState>>) -> Self {
        Self { place: FLASH.to_owned(), name: "UEFI variables", device }
    }
}
