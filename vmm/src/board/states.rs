//! The devices' states, for snapshots.
//!
//! Every way to plug in a device records it here, so that none is forgotten: PCI functions are on their bus, and the others in a list. A
//! state is named by the device's address, which is also how the guest identifies it.

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
    /// Saves the state of each device. The machine and its devices are paused.
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

    /// Loads these states into a machine that was built in the same way and has not run. Afterwards, virtio devices and SATA drives are
    /// paused, and the buses decode the same addresses as before. KVM's interrupt controllers must have their states already: lines that
    /// were high are driven high again.
    ///
    /// # Errors
    ///
    /// A state does not fit its device, a device has no state, or a state has no device; all of these are listed. The machine can't be
    /// used.
    pub fn load(&self, states: &DeviceStates) -> anyhow::Result<()> {
        let (mut left, mut wrong) = (states.clone(), Vec::new());
        self.each(|place, name, device| {
            let fits = wrong.is_empty() && left.keys().all(|place| place == FLASH);
            match left.remove(&place) {
                // The flash chip comes last: its contents may reach a file only if all others fit.
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

    /// Memory that is neither guest RAM nor part of a device's state, such as a screen's, by address: it has to be saved like RAM.
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

    /// Calls `see` for each device, with its address and its name. PCI functions come first, since items of fw_cfg depend on them.
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

/// The name of a PCI function's address.
fn place(address: PciAddress) -> String {
    format!("pci {address}")
}

/// Formats an error with its sources.
fn said(place: &str, name: &str, error: StateError) -> String {
    format!("{place} ({name}): {:#}", anyhow::Error::from(error))
}

/// Returns an error that lists everything wrong, if anything is.
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
