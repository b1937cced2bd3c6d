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

/// The time that nvmm's end waits for a file that the host does not write.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The software that a machine starts with. It outlives the machine's resets.
#[derive(Debug)]
pub enum Payload {
    /// A kernel, which nvmm loads.
    Kernel(Box<KernelFiles>),
    /// Firmware, which finds a boot loader by itself, or loads a kernel.
    Firmware(Box<Firmware>),
}

impl Payload {
    /// Opens what the options name; nothing if the machine's first disk tells which firmware it is. Unless the machine `runs`, nothing is
    /// made.
    ///
    /// # Errors
    ///
    /// It can't be read, or is not what it should be.
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

    /// Opens the same, if there is nothing yet, now that the disks are open.
    ///
    /// # Errors
    ///
    /// As [`Payload::open`], or the disk can't be read.
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

    /// Firmware that draws on the screen, if the machine has one.
    fn for_machine(firmware: Firmware, config: &VmConfig) -> Result<Self, FirmwareError> {
        let firmware = if config.has_screen() { firmware.with_screen()? } else { firmware };
        Ok(Self::Firmware(firmware.into()))
    }

    /// Lays out memory for it.
    pub(crate) fn memory_map(&self, size: Size) -> Result<MemoryMap, BootError> {
        match self {
            Self::Kernel(_) => boot::memory_map(size.0),
            Self::Firmware(_) => boot::firmware_memory_map(size.0),
        }
    }

    /// The functions of PCI that it needs.
    pub(crate) fn chipset(&self) -> Chipset {
        match self {
            Self::Kernel(_) => Chipset::Fixed,
            Self::Firmware(_) => Chipset::Q35,
        }
    }

    /// The chip that it is in.
    pub(crate) fn rom(&self) -> Option<&Arc<Rom>> {
        match self {
            Self::Kernel(_) => None,
            Self::Firmware(firmware) => Some(firmware.rom()),
        }
    }

    /// It, if it is firmware.
    pub(crate) fn firmware(&self) -> Option<&Firmware> {
        match self {
            Self::Kernel(_) => None,
            Self::Firmware(firmware) => Some(firmware),
        }
    }

    /// Loads it into fresh memory. Firmware has no entry of its own: the processor's reset state leads into it.
    pub(crate) fn load(&self, memory: &GuestRam) -> anyhow::Result<Option<Kernel>> {
        match self {
            Self::Kernel(files) => Ok(Some(files.load(memory)?)),
            Self::Firmware(firmware) => {
                firmware.load(memory)?;
                Ok(None)
            }
        }
    }

    /// Waits for what is still to be written to the host when the machine has ended, and says what is not.
    pub fn finish(&self) {
        if let Self::Firmware(firmware) = self
            && let Some(file) = firmware.finish(END_PATIENCE)
        {
            log::warn!("{file}: the last changes are not written yet, and are not waited for");
        }
    }

    /// Lets others use the file of UEFI variables, once all is in it.
    ///
    /// # Errors
    ///
    /// The host's, or something is not in it yet.
    pub(crate) fn unlock(&self) -> anyhow::Result<()> {
        let Self::Firmware(firmware) = self else { return Ok(()) };
        if let Some(file) = firmware.finish(END_PATIENCE) {
            anyhow::bail!("{file}: the last changes are not written yet; see to its storage");
        }
        Ok(firmware.unlock()?)
    }

    /// Locks that file again, or returns who is in the way.
    ///
    /// # Errors
    ///
    /// The host's.
    pub(crate) fn lock_again(&self) -> io::Result<Option<String>> {
        self.firmware().map_or(Ok(None), Firmware::lock_again)
    }

    /// Plugs in the devices that firmware alone uses, and returns the one by which it asks for the rest. A kernel has that one only for the
    /// user's `files`, and its driver finds it in ACPI then.
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
