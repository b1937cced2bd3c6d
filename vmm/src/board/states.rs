//! The devices' states, for a snapshot.
//!
//! Each way to plug a device in notes it here, so that none is forgotten: PCI functions are on their bus, and the others in a list. A state
//! bears the device's place, which its guest knows it by.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::bail;
use devices::{
    pci::{BarMemory, PciAddress},
    state::{SaveState, StateError},
};

use super::{
    Devices,
    kept::{DeviceStates, FLASH, Kept},
};

impl Devices {
    /// The state of each device of a machine that is paused, as for a pause.
    ///
    /// # Errors
    ///
    /// A device has not stopped.
    pub fn save(&self) -> anyhow::Result<DeviceStates> {
        let (mut states, mut wrong) = (BTreeMap::new(), Vec::new());
        self.each(|place, name, device| match device.save_state() {
            Ok(state) => drop(states.insert(place, state)),
            Err(error) => wrong.push(said(&place, name, error)),
        });
        fail("devices can't be saved", &wrong)?;
        Ok(states)
    }

    /// Has the devices take up these states, in a machine that was built alike and has not run. Virtio devices and SATA drives are paused
    /// then, as after a pause; the buses decode as the first machine's did. KVM's interrupt controllers have their states before:
    /// lines that were high are driven high again.
    ///
    /// # Errors
    ///
    /// A state does not fit its device, a device has none, or a state is of no device: all are named. The machine can't be used.
    pub fn load(&self, states: &DeviceStates) -> anyhow::Result<()> {
        let (mut left, mut wrong) = (states.clone(), Vec::new());
        self.each(|place, name, device| {
            let fits = wrong.is_empty() && left.keys().all(|place| place == FLASH);
            match left.remove(&place) {
                // It is the last, and its contents are to reach a file only if all others fit.
                Some(_) if place == FLASH && !fits => {}
                Some(state) => {
                    if let Err(error) = device.load_state(&state) {
                        wrong.push(said(&place, name, error));
                    }
                }
                None => wrong.push(format!("{place} ({name}): there is no state of it")),
            }
        });
        wrong.extend(left.keys().map(|place| format!("{place}: this machine has no such device")));
        fail("the devices' states don't fit this machine", &wrong)?;
        self.buses.follow();
        Ok(())
    }

    /// Memory that is neither guest RAM nor in a device's state, such as a screen's, by its place: it is to be kept as RAM is.
    #[must_use]
    pub fn memories(&self) -> Vec<(String, Arc<BarMemory>)> {
        let mut memories = Vec::new();
        for (address, function) in self.buses.pci.iter() {
            let function = lock(function);
            for decoded in function.config().bars() {
                let bar = decoded.bar.index();
                if let Some(memory) = function.bar_memory(bar) {
                    memories.push((format!("{} bar {bar}", place(address)), Arc::clone(memory)));
                }
            }
        }
        memories
    }

    /// Shows each device, with its place and its name: PCI functions first, since fw_cfg tells of them.
    fn each(&self, mut see: impl FnMut(String, &str, &mut dyn SaveState)) {
        for (address, function) in self.buses.pci.iter() {
            let mut function = lock(function);
            let name = function.config().identity().name;
            see(place(address), name, &mut *function);
        }
        for Kept { place, name, device } in &self.kept {
            see(place.clone(), name, &mut *lock(device));
        }
    }
}

/// The place of a PCI function.
fn place(address: PciAddress) -> String {
    format!("pci {address}")
}

/// An error, with its reasons.
fn said(place: &str, name: &str, error: StateError) -> String {
    format!("{place} ({name}): {:#}", anyhow::Error::from(error))
}

/// Fails with all that is wrong, if anything.
fn fail(what: &str, wrong: &[String]) -> anyhow::Result<()> {
    if !wrong.is_empty() {
        bail!("{what}: {}", wrong.join("; "));
    }
    Ok(())
}

fn lock<T: ?Sized>(device: &Mutex<T>) -> MutexGuard<'_, T> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "states_test.rs"]
mod tests;
