//! The devices of a machine that is built.

use std::{
    fmt::Debug,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use arch::{
    acpi::{AcpiHardware, IsaDevice},
    layout,
};
use devices::{
    disk::format::Format,
    pci::{FunctionInfo, Lifecycle, PciAddress},
    platform::VmGeneration,
};

use super::{
    chipset::{Chipset, Placing},
    generation::new_generation,
    inventory::{AcpiName, At, Placed},
    kept::Kept,
    screen::PluggedScreen,
};
use crate::{
    attached::Attached, blocks::BlockFacts, buses::Buses, config::BootDevice, networks::NetworkFacts,
    size::Size,
};

/// The host's side of a virtio device or a SATA drive.
pub trait HostSide: Debug + Send + Sync {
    /// The name in messages, such as `disk a.img`.
    fn name(&self) -> String;

    /// The file or the like, for the inventory.
    fn backend(&self) -> Option<String>;

    /// The size in bytes, if it has one that may change.
    fn size(&self) -> Option<u64> {
        None
    }

    /// The facts as a disk, if it is one.
    fn block(&self) -> Option<BlockFacts> {
        None
    }

    /// The facts as a network device, if it is one.
    fn network(&self) -> Option<NetworkFacts> {
        None
    }

    /// Takes the link of a network device up or down. The guest is not notified yet.
    ///
    /// # Errors
    ///
    /// The link can't go up, as the host's side is gone.
    fn set_link(&self, _up: bool) -> anyhow::Result<()> {
        Ok(())
    }

    /// Makes the guest announce itself on a network device. It is not notified yet.
    fn announce(&self) {}

    /// Gives a disk's file this size. The guest is not notified yet.
    ///
    /// # Errors
    ///
    /// The device is no disk that can grow now, the size is smaller than before, or the host refuses.
    fn grow(&self, _size: u64) -> anyhow::Result<()> {
        anyhow::bail!("it is no disk")
    }

    /// Takes the medium out of a drive; with `force`, even if the guest has locked it.
    ///
    /// # Errors
    ///
    /// The device is no such drive, or the guest has locked it.
    fn eject(&self, _force: bool) -> anyhow::Result<()> {
        anyhow::bail!("{} has no medium that can be taken out", self.name())
    }

    /// Puts another medium into a drive; with `force`, even if the guest has locked it.
    ///
    /// # Errors
    ///
    /// The device is no such drive, the guest has locked it, or the image doesn't exist.
    fn change_medium(&self, _path: &Path, _format: Option<Format>, _force: bool) -> anyhow::Result<()> {
        anyhow::bail!("{} has no medium that can be changed", self.name())
    }

    /// Describes its work since nvmm started, if that is counted.
    fn work(&self) -> Option<String> {
        None
    }

    /// Returns its name and its work, if that is counted.
    fn totals(&self) -> Option<String> {
        Some(format!("{}: {}", self.name(), self.work()?))
    }
}

/// A virtio device, or a SATA drive with its port, at its PCI address.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) address: PciAddress,
    pub(super) host: Arc<dyn HostSide>,
    pub(super) function: Arc<Mutex<dyn Lifecycle>>,
}

/// The devices of a machine, and the buses on which its vCPUs access them.
#[derive(Debug)]
pub struct Devices {
    pub(super) buses: Arc<Buses>,
    pub(super) placed: Vec<Placed>,
    /// The devices that are no PCI functions, to be saved in snapshots.
    pub(super) kept: Vec<Kept>,
    pub(super) functions: Vec<Function>,
    pub(super) attached: Attached,
    pub(super) chipset: Chipset,
    pub(super) pci_mmio64: Option<Range<u64>>,
    /// The devices that firmware can start from, with their OpenFirmware paths.
    pub(super) bootable: Vec<(BootDevice, String)>,
    pub(super) screen: Option<PluggedScreen>,
    pub(super) generation: Option<Arc<Mutex<VmGeneration>>>,
}

impl Devices {
    /// Returns all devices with their addresses: those on the ISA bus in the order in which they were plugged in, then the PCI functions by
    /// address.
    #[must_use]
    pub fn inventory(&self) -> Vec<Placed> {
        let functions = self.buses.pci.functions();
        let functions = functions.map(|FunctionInfo { address, identity, bars, interrupt_pin }| {
            let hosts = self.functions.iter().filter(|function| function.address == address);
            let screen = self.screen.as_ref().filter(|screen| screen.address == address);
            let viewers = screen.and_then(|screen| screen.viewers.as_ref());
            let viewers = viewers.map(|viewers| format!("viewers at {}", viewers.place));
            let backends: Vec<_> =
                hosts.filter_map(|function| function.host.backend()).chain(viewers).collect();
            Placed {
                name: identity.to_string(),
                at: At::Pci { address, bars },
                gsi: interrupt_pin.map(|pin| layout::pci_intx_gsi(address.device(), pin - 1)),
                acpi: None,
                backend: (!backends.is_empty()).then(|| backends.join(", ")),
            }
        });
        self.placed.iter().cloned().chain(functions).collect()
    }

    /// Returns the hardware for ACPI's tables, with vCPUs that have these APIC ids.
    pub(crate) fn acpi(&self, apic_ids: Vec<u32>) -> AcpiHardware {
        let has_pm_timer =
            |device: &Placed| matches!(&device.at, At::Ports(ports) if ports.contains(&layout::PM_TIMER));
        let isa = self.placed.iter().filter_map(|device| {
            let (AcpiName { name, hid, uid }, At::Ports(ports)) = (device.acpi?, &device.at) else {
                return None;
            };
            Some(IsaDevice { name, hid, uid, ports: ports.clone(), gsi: device.gsi })
        });
        AcpiHardware {
            apic_ids,
            isa: isa.collect(),
            vga: self.screen.is_some(),
            vm_generation: self.generation.is_some(),
            pm_timer: self.placed.iter().any(has_pm_timer),
            ecam: self.buses.pci.ecam(),
            pci_windows: self.pci_windows(),
            pci_mmio64: self.pci_mmio64(),
        }
    }

    /// Returns the hardware for ACPI's tables after firmware has set it up, in a machine whose memory ends at `ram_end`.
    pub(crate) fn placing(&self, apic_ids: Vec<u32>, ram_end: u64) -> Placing {
        Placing { hardware: self.acpi(apic_ids), pci: Arc::clone(&self.buses.pci), ram_end }
    }

    /// Changes the generation ID of a restored machine, which does not run yet: others may be restored from the same snapshot.
    pub(crate) fn begin_generation(&self) {
        if let Some(generation) = &self.generation {
            generation.lock().unwrap_or_else(PoisonError::into_inner).change(new_generation());
        }
    }

    /// The screen, if there is one.
    pub(crate) fn screen(&self) -> Option<&PluggedScreen> {
        self.screen.as_ref()
    }

    /// The devices that firmware can start from.
    pub(crate) fn bootable(&self) -> Vec<BootDevice> {
        self.bootable.iter().map(|(device, _)| device.clone()).collect()
    }

    /// Returns the OpenFirmware paths of some of the devices that firmware can start from.
    pub(crate) fn boot_paths(&self, places: &[usize]) -> Vec<String> {
        places.iter().map(|&at| self.bootable[at].1.clone()).collect()
    }

    /// The windows for PCI BARs below 4 GiB, given the current place of ECAM.
    pub(crate) fn pci_windows(&self) -> Vec<Range<u64>> {
        self.chipset.windows(self.buses.pci.ecam().as_ref())
    }

    /// The window for PCI BARs above RAM, if there is one.
    pub(crate) fn pci_mmio64(&self) -> Option<Range<u64>> {
        self.pci_mmio64.clone()
    }

    /// The buses, for a vCPU.
    pub(crate) fn buses(&self) -> &Arc<Buses> {
        &self.buses
    }

    /// The parts that the main thread serves.
    pub(crate) fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Stops virtio devices and SATA drives for good, and waits for at most `patience`. Returns the names of those that still access guest
    /// memory because the host has not finished their requests; then this may be called again.
    pub(crate) fn stop(&self, patience: Duration) -> Vec<String> {
        self.until(patience, |function, patience| function.stop(patience))
    }

    /// Stops virtio devices and SATA drives until [`Devices::resume`], and waits for at most `patience`. Returns the names of those whose
    /// requests the host has not finished; then this may be called again.
    pub(crate) fn pause(&self, patience: Duration) -> Vec<String> {
        self.until(patience, |function, patience| function.pause(patience))
    }

    /// Resumes them after [`Devices::pause`]. If one can't be resumed, its driver sees that it needs a reset.
    pub(crate) fn resume(&self) {
        for Function { host, function, .. } in &self.functions {
            if let Err(error) = lock(function).resume() {
                log::warn!("{} can't go on after the pause: {error}", host.name());
            }
        }
    }

    /// Calls `stop` for every function until it returns true, for at most `patience`. Returns the names of those for which it does not.
    fn until(&self, patience: Duration, stop: fn(&mut dyn Lifecycle, Duration) -> bool) -> Vec<String> {
        let asked = Instant::now();
        // Tell all of them before waiting for any.
        for Function { function, .. } in &self.functions {
            stop(&mut *lock(function), Duration::ZERO);
        }
        let busy = self.functions.iter().filter(|Function { function, .. }| {
            let left = patience.saturating_sub(asked.elapsed());
            !stop(&mut *lock(function), left)
        });
        busy.map(|function| function.host.name()).collect()
    }

    /// Prints each one's work on stderr, at the level that is always printed.
    pub(crate) fn print_totals(&self) {
        let all: Vec<_> = self.functions.iter().filter_map(|function| function.host.totals()).collect();
        all.iter().for_each(|line| log::error!("{line}"));
        if all.is_empty() {
            log::error!("there are no disks and no network devices");
        }
    }

    /// The disks, by PCI address.
    pub(crate) fn disks(&self) -> Vec<BlockFacts> {
        self.functions.iter().filter_map(|function| function.host.block()).collect()
    }

    /// The network devices, by PCI address.
    pub(crate) fn networks(&self) -> Vec<NetworkFacts> {
        self.functions.iter().filter_map(|function| function.host.network()).collect()
    }

    /// Takes the link of the network device with this name up or down, and notifies the guest.
    ///
    /// # Errors
    ///
    /// There is none, or its host's side is gone.
    pub(crate) fn set_link(&self, name: &str, up: bool) -> anyhow::Result<()> {
        self.change_network(name, |host| host.set_link(up))
    }

    /// Makes the guest announce itself on the network devices with these names, or on all.
    ///
    /// # Errors
    ///
    /// A name is unknown.
    pub(crate) fn announce(&self, names: Option<&[String]>) -> anyhow::Result<()> {
        let all = || self.networks().into_iter().map(|device| device.name).collect();
        let names = names.map_or_else(all, <[_]>::to_vec);
        let announce = |host: &dyn HostSide| {
            host.announce();
            Ok(())
        };
        names.iter().try_for_each(|name| self.change_network(name, announce))
    }

    /// Changes the network device with this name, and notifies the guest.
    fn change_network(
        &self,
        name: &str,
        change: impl FnOnce(&dyn HostSide) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let is_named = |host: &dyn HostSide| host.network().is_some_and(|device| device.name == name);
        let found = self.functions.iter().find(|function| is_named(&*function.host));
        let Some(Function { host, function, .. }) = found else {
            anyhow::bail!("Device '{name}' not found");
        };
        let changed = change(&**host);
        lock(function).measure().with_context(|| host.name())?;
        changed
    }

    /// Checks which network devices still have their host's side, and notifies the guest.
    pub(crate) fn check_networks(&self) {
        for Function { host, function, .. } in self.functions.iter().filter(|it| it.host.network().is_some())
        {
            if let Err(error) = lock(function).measure() {
                log::warn!("{}: its link can't be taken down: {error}", host.name());
            }
        }
    }

    /// The disk or drive with this name.
    fn disk(&self, name: &str) -> Option<&Function> {
        let is_named = |host: &dyn HostSide| host.block().is_some_and(|disk| disk.name == name);
        self.functions.iter().find(|function| is_named(&*function.host))
    }

    /// Takes the medium out of the drive with this name.
    ///
    /// # Errors
    ///
    /// There is none, or the guest has locked it and `force` is not set.
    pub(crate) fn eject(&self, name: &str, force: bool) -> anyhow::Result<()> {
        let found = self.disk(name).with_context(|| format!("Device '{name}' not found"))?;
        found.host.eject(force)
    }

    /// Puts the image at `path` into the drive with this name.
    ///
    /// # Errors
    ///
    /// There is no such drive or image, or the guest has locked the drive and `force` is not set.
    pub(crate) fn change_medium(
        &self,
        name: &str,
        path: &Path,
        format: Option<Format>,
        force: bool,
    ) -> anyhow::Result<()> {
        let found = self.disk(name).with_context(|| format!("Device '{name}' not found"))?;
        found.host.change_medium(path, format, force)
    }

    /// Gives the disk with this name `size` bytes, and notifies the guest.
    ///
    /// # Errors
    ///
    /// There is none, or it can't have that size.
    pub(crate) fn grow(&self, name: &str, size: u64) -> anyhow::Result<()> {
        let Some(Function { host, function, .. }) = self.disk(name) else {
            anyhow::bail!("Cannot find device='{name}' nor node-name='{name}'");
        };
        host.grow(size)?;
        lock(function).measure().with_context(|| host.name())?;
        Ok(())
    }

    /// Checks which disks have grown, and notifies the guest.
    pub(crate) fn measure(&self) {
        let mut grown = false;
        for Function { host, function, .. } in &self.functions {
            let before = host.size();
            if let Err(error) = lock(function).measure() {
                log::warn!("{}: it can't be measured: {error}", host.name());
            } else if let (Some(before), Some(after)) = (before, host.size())
                && before != after
            {
                grown = true;
                log::info!("{}: it has grown from {} to {}", host.name(), Size(before), Size(after));
            }
        }
        if !grown {
            log::info!("SIGHUP: no disk has grown");
        }
    }
}

fn lock(device: &Mutex<dyn Lifecycle>) -> MutexGuard<'_, dyn Lifecycle + 'static> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}
