//! The board: the one place at which devices are plugged in.
//!
//! ```text
//! option --> DeviceConfig --open--> dyn OpenDevice --plug--> Board --close--> Devices
//!                                   (outlives resets)        (built anew at each reset)
//! ```
//!
//! A device consists of a file below this module, a variant of [`DeviceConfig`](crate::config::DeviceConfig), and the option that makes it.
//! Code that lists devices (ACPI, `--dry-run`) reads the [inventory](Devices::inventory) and knows none by name.

mod backends;
mod balloon;
mod boot_path;
mod cdrom;
mod chipset;
mod cloud_init;
mod debug_exit;
mod device;
mod devices;
pub mod disk;
mod display;
mod generation;
mod inventory;
mod kept;
mod keyboard;
mod net;
mod open;
mod panic;
pub(crate) mod platform;
mod rng;
mod rtc;
mod screen;
mod serial;
mod states;
mod tablet;
mod unwired;
#[cfg_attr(not(feature = "vnc"), path = "without/viewers.rs")]
mod viewers;
mod vsock;
mod windows;

use std::{
    io,
    ops::{Range, RangeInclusive},
    sync::{Arc, Mutex, PoisonError},
};

use ::devices::{
    ahci::{Ahci, AhciError, Drive},
    bus::{self, Bus, BusError},
    irq::Line,
    pci::{BarError, BarSpace, ConfigPorts, PciAddress, PciFunction, PciRoot, SlotError},
    platform::{VmGeneration, flash::Flash},
    state::Stateful,
    virtio::{
        device::VirtioDevice,
        pci::{VirtioPci, VirtioPciError},
    },
    wakes::Wakes,
};
use arch::{layout, memory::GuestRam};
use thiserror::Error;

use self::{
    boot_path::boot_path, devices::Function, kept::Kept, screen::PluggedScreen, unwired::Unwired,
    windows::Windows,
};
pub(crate) use self::{
    chipset::{Chipset, Placing},
    screen::Viewers,
};
pub use self::{
    device::{OpenDevice, Opening},
    devices::{Devices, HostSide},
    inventory::{AcpiName, At, Placed},
    kept::DeviceStates,
    open::open,
};
use crate::{
    attached::{Attached, Attachment, Waker},
    buses::{self, Buses, FlashSlot},
    config::BootDevice,
    vm::Vm,
};

/// Reasons why a device can't be plugged in.
#[derive(Debug, Error)]
pub(crate) enum BoardError {
    /// The device's addresses are in use.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Another device has one of its ports.
    #[error("ports {:#x} to {:#x} overlap those of {other}", .ports.start(), .ports.end())]
    Ports {
        /// The ports.
        ports: RangeInclusive<u64>,
        /// The other device.
        other: String,
    },
    /// No PCI address is left.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The window for the BAR is full.
    #[error("there is no room for a {space} BAR of {size:#x} bytes")]
    Window {
        /// The BAR's address space.
        space: BarSpace,
        /// The size.
        size: u64,
    },
    /// A window is not a range of addresses.
    #[error("the windows for pci BARs")]
    Windows(#[from] vm_allocator::Error),
    /// The function can't have its BARs at the free addresses.
    #[error("a pci function")]
    Bar(#[from] BarError),
    /// The device does not fit its transport.
    #[error(transparent)]
    Transport(#[from] VirtioPciError),
    /// The controller for SATA drives can't be made.
    #[error(transparent)]
    Ahci(#[from] AhciError),
    /// No place is left after all other devices.
    #[error("{0} can't be plugged in (leave out another device)")]
    Last(String, #[source] Box<Self>),
    /// No descriptor or thread is left.
    #[error("can't make {0}")]
    Make(&'static str, #[source] io::Error),
}

/// A device with fixed ports.
#[derive(Clone, Debug)]
pub(crate) struct IsaSpec {
    /// The name, for people.
    pub(crate) name: &'static str,
    /// The first port, and the number of ports.
    pub(crate) ports: (u16, u64),
    /// The interrupt line it drives.
    pub(crate) gsi: Option<u32>,
    /// The name in ACPI; none if ACPI describes it in another way, or not at all.
    pub(crate) acpi: Option<AcpiName>,
    /// The host's side of it, such as a file.
    pub(crate) backend: Option<String>,
}

/// A machine's devices, while they are being plugged in.
#[derive(Debug)]
pub struct Board {
    vm: Vm,
    pio: Bus,
    mmio: Bus,
    pci: Arc<PciRoot>,
    chipset: Chipset,
    /// The windows for BARs; none if firmware places BARs.
    windows: Option<Windows>,
    pci_mmio64: Option<Range<u64>>,
    placed: Vec<Placed>,
    functions: Vec<Function>,
    /// The SATA drives. Their controllers are made when all drives are known.
    drives: Vec<PlannedDrive>,
    /// The virtio devices that come after all other PCI functions.
    last: Vec<(Box<dyn VirtioDevice>, Arc<dyn HostSide>)>,
    attached: Attached,
    bootable: Vec<(BootDevice, String)>,
    flash: Option<(u64, Arc<Mutex<Flash>>)>,
    /// The devices that are no PCI functions, to be saved in snapshots.
    kept: Vec<Kept>,
    /// The screen and the VM generation ID, once they are plugged in.
    screen: Option<PluggedScreen>,
    generation: Option<Arc<Mutex<VmGeneration>>>,
}

/// A SATA drive that still needs a port.
#[derive(Debug)]
struct PlannedDrive {
    drive: Drive,
    host: Arc<dyn HostSide>,
    /// The index in [`Board::bootable`], if firmware can start from it.
    bootable: Option<usize>,
}

impl Board {
    /// Makes a board for `vm`, with its ROM, and with only the chipset on the PCI bus. `pci_mmio64` is the window for BARs above RAM.
    ///
    /// # Errors
    ///
    /// No error depends on the machine.
    pub(crate) fn new(vm: Vm, chipset: Chipset, pci_mmio64: Option<Range<u64>>) -> Result<Self, BoardError> {
        let (pio, mmio, pci) = (Bus::default(), Bus::default(), Arc::new(chipset.root()?));
        buses::reserve(&pio, &mmio, &vm.memory)?;
        let config = shared(ConfigPorts::new(Arc::clone(&pci)));
        pio.insert(layout::PCI_CONFIG.into(), ConfigPorts::LEN, config.clone())?;
        if let Some(rom) = &vm.rom {
            let len = rom.size();
            mmio.insert(layout::FIRMWARE_END - len, len, Arc::clone(rom) as Arc<dyn bus::Target>)?;
        }
        let windows = (chipset == Chipset::Fixed).then(|| Windows::new(pci_mmio64.as_ref())).transpose()?;
        Ok(Self {
            pio,
            mmio,
            pci,
            chipset,
            windows,
            pci_mmio64,
            placed: Vec::new(),
            functions: Vec::new(),
            drives: Vec::new(),
            last: Vec::new(),
            attached: Attached::default(),
            bootable: Vec::new(),
            flash: None,
            generation: None,
            kept: vec![Kept::ports(layout::PCI_CONFIG, "PCI configuration", config)],
            screen: None,
            vm,
        })
    }

    /// Guest memory.
    pub(crate) fn memory(&self) -> &GuestRam {
        &self.vm.memory
    }

    /// Plugs in a device with fixed ports. `make` gets the line of its GSI, or an unconnected line.
    ///
    /// # Errors
    ///
    /// The device can't be made, or its ports are taken.
    pub(crate) fn isa<D: bus::BusDevice + Stateful + 'static>(
        &mut self,
        spec: IsaSpec,
        make: impl FnOnce(Arc<dyn Line>) -> io::Result<D>,
    ) -> Result<Arc<Mutex<D>>, BoardError> {
        let IsaSpec { name, ports: (first, len), gsi, acpi, backend } = spec;
        let line = gsi.map_or_else(|| Arc::new(Unwired) as Arc<dyn Line>, |gsi| self.vm.line(gsi));
        let device = shared(make(line).map_err(|error| BoardError::Make(name, error))?);
        self.pio.insert(first.into(), len, device.clone()).map_err(|error| self.named(error))?;
        let at = At::Ports(first..first.saturating_add(u16::try_from(len).unwrap_or(u16::MAX)));
        self.placed.push(Placed { name: name.to_owned(), at, gsi, acpi, backend });
        self.kept.push(Kept::ports(first, name, device.clone()));
        Ok(device)
    }

    /// Adds to an error the name of the device that uses the ports, if it is known.
    fn named(&self, error: BusError) -> BoardError {
        let BusError::Overlap { base, len, other } = error else { return error.into() };
        let at = |placed: &&Placed| matches!(&placed.at, At::Ports(ports) if u64::from(ports.start) == other);
        match self.placed.iter().find(at) {
            Some(placed) => BoardError::Ports { ports: base..=base + (len - 1), other: placed.name.clone() },
            None => error.into(),
        }
    }

    /// Plugs in a PCI function at the next address of the bus, and places its BARs unless firmware does. `make` gets the address, and an
    /// input to the interrupt line of the function's INTx pin.
    ///
    /// # Errors
    ///
    /// No address is left, the function can't be made, or there is no room for a BAR.
    pub(crate) fn pci<F: PciFunction + 'static>(
        &mut self,
        make: impl FnOnce(PciAddress, Arc<dyn Line>) -> Result<F, BoardError>,
    ) -> Result<(PciAddress, Arc<Mutex<F>>), BoardError> {
        let address = self.pci.next_address()?;
        let pin = layout::pci_intx_pin(address.function());
        let line = self.vm.line(layout::pci_intx_gsi(address.device(), pin));
        let mut function = make(address, line)?;
        if let Some(windows) = &mut self.windows {
            function.config_mut().place_bars(|bar| {
                let (space, size) = (bar.space(), bar.size());
                windows.place(bar).ok_or(BoardError::Window { space, size })
            })?;
        }
        let function = shared(function);
        self.pci.insert(address, function.clone())?;
        Ok((address, function))
    }

    /// Plugs in a virtio device, with one MSI-X vector for each queue and one for its configuration. `host` is its host's side. Returns its
    /// address.
    ///
    /// # Errors
    ///
    /// No address, no room, or no descriptor is left.
    pub(crate) fn virtio(
        &mut self,
        device: Box<dyn VirtioDevice>,
        host: Arc<dyn HostSide>,
    ) -> Result<PciAddress, BoardError> {
        let vectors = (0..=device.queue_sizes().len()).map(|_| self.vm.msi()).collect();
        let memory = self.vm.memory.clone();
        let (address, function) =
            self.pci(|address, line| Ok(VirtioPci::new(address, device, memory, line, vectors)?))?;
        self.functions.push(Function { address, host, function });
        Ok(address)
    }

    /// Plugs in a virtio device after all other PCI functions, so that their addresses are the same as without it.
    pub(crate) fn virtio_last(&mut self, device: Box<dyn VirtioDevice>, host: Arc<dyn HostSide>) {
        self.last.push((device, host));
    }

    /// Records that firmware can start from a device: the function at `address`, with the OpenFirmware names of the function and of the
    /// device behind it, as in QEMU.
    pub(crate) fn can_boot(&mut self, device: BootDevice, address: PciAddress, function: &str, behind: &str) {
        self.bootable.push((device, boot_path(address, function, behind)));
    }

    /// Plugs in a SATA drive. `host` is its host's side, and `device` names it if firmware can start from it.
    pub(crate) fn sata(&mut self, drive: Drive, host: Arc<dyn HostSide>, device: Option<BootDevice>) {
        let bootable = device.as_ref().map(|_| self.bootable.len());
        self.drives.push(PlannedDrive { drive, host, bootable });
        // Its path is known only when it has a port.
        self.bootable.extend(device.map(|device| (device, String::new())));
    }

    /// Plugs in AHCI controllers for the drives, which get their ports in order.
    fn controllers(&mut self) -> Result<(), BoardError> {
        while !self.drives.is_empty() {
            let first: Vec<_> = self.drives.drain(..self.drives.len().min(Ahci::PORTS)).collect();
            let split = |PlannedDrive { drive, host, bootable }| (drive, (host, bootable));
            let (drives, hosts): (Vec<_>, Vec<_>) = first.into_iter().map(split).unzip();
            let (memory, msi) = (self.vm.memory.clone(), self.vm.msi());
            let (address, controller) =
                self.pci(|address, line| Ok(Ahci::new(address, drives, &memory, line, msi)?))?;
            let ports = controller.lock().unwrap_or_else(PoisonError::into_inner).ports().to_vec();
            for ((number, function), (host, bootable)) in ports.into_iter().enumerate().zip(hosts) {
                self.functions.push(Function { address, host, function });
                if let Some(bootable) = bootable {
                    let behind = format!("drive@{number:x}/disk@0");
                    self.bootable[bootable].1 = boot_path(address, "pci8086,2922", &behind);
                }
            }
        }
        Ok(())
    }

    /// Puts a flash chip at `address`.
    ///
    /// # Errors
    ///
    /// The address is in use.
    pub(crate) fn flash(&mut self, address: u64, flash: Flash) -> Result<(), BoardError> {
        let size = flash.size();
        let flash = shared(flash);
        self.mmio.insert(address, size, flash.clone())?;
        self.flash = Some((address, flash));
        Ok(())
    }

    /// Makes the main thread serve a UART while the machine runs.
    pub(crate) fn attach(&mut self, attachment: Attachment) {
        self.attached.uarts.push(attachment);
    }

    /// Makes the main thread wake a device while the machine runs.
    pub(crate) fn wake(&mut self, device: Arc<Mutex<dyn Wakes>>) {
        self.attached.wakers.push(Waker::new(device));
    }

    /// Finishes the board.
    ///
    /// # Errors
    ///
    /// No place is left for a controller of SATA drives, or for a device that comes last.
    pub(crate) fn close(mut self) -> Result<(Vm, Devices), BoardError> {
        self.controllers()?;
        for (device, host) in std::mem::take(&mut self.last) {
            let name = host.name();
            self.virtio(device, host).map_err(|error| BoardError::Last(name, Box::new(error)))?;
        }
        let slots = self.vm.slots();
        let buses = Buses::new(self.pio, self.mmio, self.pci, self.vm.fd.clone(), Arc::clone(&slots));
        if let Some((address, flash)) = self.flash {
            self.kept.push(Kept::flash(flash.clone()));
            buses.map_flash(FlashSlot::new(address, flash, slots));
        }
        let devices = Devices {
            buses: Arc::new(buses),
            placed: self.placed,
            kept: self.kept,
            functions: self.functions,
            attached: self.attached,
            chipset: self.chipset,
            pci_mmio64: self.pci_mmio64,
            bootable: self.bootable,
            screen: self.screen,
            generation: self.generation,
        };
        Ok((self.vm, devices))
    }
}

fn shared<T>(device: T) -> Arc<Mutex<T>> {
    Arc::new(Mutex::new(device))
}

#[cfg(test)]
#[path = "board_test.rs"]
mod tests;
