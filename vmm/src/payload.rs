//! The software that a machine starts with.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use arch::{
    acpi::HardwareId,
    boot::{self, BootError, MemoryMap},
    layout,
    memory::GuestRam,
};
use devices::{
    chipset::Rom,
    platform::{DebugConsole, fw_cfg::FwCfg},
};

use crate::{
    board::{AcpiName, Board, Chipset, IsaSpec, OpenDevice},
    config::{FwCfgFile, StartConfig, VmConfig},
    firmware::{Firmware, FirmwareError},
    kernel::{Kernel, KernelFiles},
    size::Size,
};

/// The longest time that nvmm's end waits for the host to write a file.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The software that a machine starts with. It is kept across resets.
#[derive(Debug)]
pub enum Payload {
    /// A kernel, loaded by nvmm.
    Kernel(Box<KernelFiles>),
    /// Firmware, which finds a boot loader by itself or loads a kernel.
    Firmware(Box<Firmware>),
}

impl Payload {
    /// Opens the files that the options name. Returns nothing if the machine's first disk decides which firmware it needs. Files are
    /// created only if the machine `runs`.
    ///
    /// # Errors
    ///
    /// A file can't be read, or has the wrong form.
    pub fn open(config: &VmConfig, runs: bool) -> anyhow::Result<Option<Self>> {
        Ok(match &config.start {
            StartConfig::Kernel(kernel) => {
                Some(Self::Kernel(KernelFiles::open(kernel, config.memory.size)?.into()))
            }
            StartConfig::Firmware(firmware) => Firmware::chosen(firmware, config.memory.size, runs)?
                .map(|firmware| Self::for_machine(firmware, config))
                .transpose()?,
        })
    }

    /// Opens the payload now that the disks are open, if there is none yet.
    ///
    /// # Errors
    ///
    /// The errors of [`Payload::open`], or the disk can't be read.
    pub fn or_by_disk(
        opened: Option<Self>,
        config: &VmConfig,
        devices: &[Box<dyn OpenDevice>],
        runs: bool,
    ) -> anyhow::Result<Self> {
        let payload = match (opened, &config.start) {
            (Some(payload), _) => payload,
            (None, StartConfig::Firmware(firmware)) => {
                Self::for_machine(Firmware::by_disk(firmware, devices, runs)?, config)?
            }
            (None, StartConfig::Kernel(kernel)) => {
                Self::Kernel(KernelFiles::open(kernel, config.memory.size)?.into())
            }
        };
        if let (Self::Firmware(firmware), StartConfig::Firmware(config)) = (&payload, &config.start) {
            firmware.tell_surprises(config, devices)?;
        }
        Ok(payload)
    }

    /// Enables the firmware's output to the screen, if the machine has one.
    fn for_machine(firmware: Firmware, config: &VmConfig) -> Result<Self, FirmwareError> {
        let firmware = if config.has_screen() { firmware.with_screen()? } else { firmware };
        Ok(Self::Firmware(firmware.into()))
    }

    /// Lays out the memory for this payload.
    pub(crate) fn memory_map(&self, size: Size) -> Result<MemoryMap, BootError> {
        match self {
            Self::Kernel(_) => boot::memory_map(size.0),
            Self::Firmware(_) => boot::firmware_memory_map(size.0),
        }
    }

    /// The PCI functions of the chipset that the payload needs.
    pub(crate) fn chipset(&self) -> Chipset {
        match self {
            Self::Kernel(_) => Chipset::Fixed,
            Self::Firmware(_) => Chipset::Q35,
        }
    }

    /// The ROM chip that holds the firmware.
    pub(crate) fn rom(&self) -> Option<&Arc<Rom>> {
        match self {
            Self::Kernel(_) => None,
            Self::Firmware(firmware) => Some(firmware.rom()),
        }
    }

    /// The firmware, if the payload is one.
    pub(crate) fn firmware(&self) -> Option<&Firmware> {
        match self {
            Self::Kernel(_) => None,
            Self::Firmware(firmware) => Some(firmware),
        }
    }

    /// Loads the payload into fresh memory. Firmware has no entry point of its own: the processor starts it at the reset vector.
    pub(crate) fn load(&self, memory: &GuestRam) -> anyhow::Result<Option<Kernel>> {
        match self {
            Self::Kernel(files) => Ok(Some(files.load(memory)?)),
            Self::Firmware(firmware) => {
                firmware.load(memory)?;
                Ok(None)
            }
        }
    }

    /// When the machine has ended, waits for the data that the host has yet to write, and reports any that could not be written.
    pub fn finish(&self) {
        if let Self::Firmware(firmware) = self
            && let Some(file) = firmware.finish(END_PATIENCE)
        {
            log::warn!("{file}: the last changes are not written yet, and are not waited for");
        }
    }

    /// Unlocks the file of UEFI variables for others, once everything is written to it.
    ///
    /// # Errors
    ///
    /// A host error, or something is not written yet.
    pub(crate) fn unlock(&self) -> anyhow::Result<()> {
        let Self::Firmware(firmware) = self else { return Ok(()) };
        if let Some(file) = firmware.finish(END_PATIENCE) {
            anyhow::bail!("{file}: the last changes are not written yet; see to its storage");
        }
        Ok(firmware.unlock()?)
    }

    /// Locks that file again, or returns the process that holds it.
    ///
    /// # Errors
    ///
    /// A host error.
    pub(crate) fn lock_again(&self) -> io::Result<Option<String>> {
        self.firmware().map_or(Ok(None), Firmware::lock_again)
    }

    /// Plugs in the devices that only firmware uses, and returns fw_cfg, by which it asks for the rest. A kernel gets fw_cfg only if the
    /// user gives `files` for it; its driver then finds the device in ACPI.
    pub(crate) fn plug(
        &self,
        board: &mut Board,
        files: &[FwCfgFile],
    ) -> anyhow::Result<Option<Arc<Mutex<FwCfg>>>> {
        let spec =
            |name, port, len| IsaSpec { name, ports: (port, len), gsi: None, acpi: None, backend: None };
        let acpi = AcpiName { name: *b"FWCF", hid: HardwareId::Acpi("QEMU0002"), uid: 0 };
        let acpi = (!files.is_empty()).then_some(acpi);
        let fw_cfg = IsaSpec { acpi, ..spec("fw_cfg", layout::FW_CFG, FwCfg::LEN) };
        let make = FwCfg::new(board.memory().clone());
        if let Self::Kernel(_) = self {
            return Ok(acpi.map(|_| board.isa(fw_cfg, |_| Ok(make))).transpose()?);
        }
        // Each byte costs an exit, and SeaBIOS writes none if it finds no console.
        if log::log_enabled!(log::Level::Debug) {
            let console = spec("firmware's debug console", layout::DEBUG_CONSOLE, DebugConsole::LEN);
            board.isa(console, |_| Ok(DebugConsole::default()))?;
        }
        if let Self::Firmware(firmware) = self
            && let Some((address, flash)) = firmware.flash()
        {
            board.flash(address, flash)?;
        }
        Ok(Some(board.isa(fw_cfg, |_| Ok(make))?))
    }
}
