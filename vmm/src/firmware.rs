//! Firmware: the software that starts a machine for which no kernel is given.
//!
//! ```text
//! --firmware, or the first disk's partitions --> Kind --find--> files --image--> Firmware, which outlives resets
//!     Firmware --> ROM below 4 GiB, its end below 1 MiB, and what it asks for by fw_cfg
//! ```
//!
//! The machine is like QEMU's Q35, as far as distributions' SeaBIOS and OVMF examine it: [`devices::chipset`]. They set it up, not nvmm:
//! they place BARs and ECAM, and the tables that describe these are made when they ask for them.

mod by_disk;
mod descriptor;
mod error;
mod find;
mod image;
mod items;
mod kind;
mod loader;
mod order;
mod variables;

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arch::{layout, memory::GuestRam};
use devices::{
    chipset::Rom,
    platform::flash::{Flash, begins_with_variables},
    printable::ToPrintable,
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

pub use self::error::{FirmwareError, ImageError};
pub use self::kind::Kind;
use self::{
    image::{Files, Image},
    variables::Variables,
};
pub(crate) use self::{
    items::{Machine, fill},
    loader::Loaded,
    order::Order,
};
use crate::{
    board::OpenDevice,
    config::{BootKind, ConfigError, FirmwareChoice, FirmwareConfig},
    kernel::PassedKernel,
    size::Size,
    small_file,
};

/// The root of the folders with distributions' files.
const ROOT: &str = "/";

/// The most SATA drives for which SeaBIOS has memory below 1 MiB. It has memory for 13, or fewer if other devices need some.
const SEABIOS_SATA_DRIVES: usize = 12;

/// Loaded firmware. It outlives the machine's resets.
#[derive(Debug)]
pub struct Firmware {
    /// The kind.
    pub kind: Kind,
    /// The file with its code.
    pub path: PathBuf,
    rom: Arc<Rom>,
    /// The variables, if they outlive nvmm. Otherwise they are in the ROM's first bytes, and changed ones are in the guest's memory.
    variables: Option<Variables>,
    /// The kernel that it loads, instead of a disk's boot loader.
    loaded: Option<Loaded>,
    /// The VGA's option ROM, for a BIOS in a machine with a screen. UEFI has a driver of its own.
    vga: Option<Vec<u8>>,
}

impl Firmware {
    /// Loads the firmware that the user has chosen, and its kernel, for a machine with this much `memory`; none if the first disk decides.
    /// Unless the machine `runs`, no file is made.
    ///
    /// # Errors
    ///
    /// The firmware doesn't exist, is not for this machine, or can't load the kernel.
    pub fn chosen(config: &FirmwareConfig, memory: Size, runs: bool) -> Result<Option<Self>, FirmwareError> {
        let files = match &config.choice {
            None => return Ok(None),
            Some(FirmwareChoice::Bios) => find::find(Kind::Bios, Path::new(ROOT))?,
            Some(FirmwareChoice::Uefi) => find::find(Kind::Uefi, Path::new(ROOT))?,
            Some(FirmwareChoice::File(path)) => find::given(path, Path::new(ROOT))?,
        };
        let kernel = config.kernel.as_ref().map(|kernel| PassedKernel::open(kernel, memory)).transpose()?;
        Self::read(&files, config, kernel, runs).map(Some)
    }

    /// Loads the firmware for which the first disk to start from is made. Unless the machine `runs`, no file is made.
    ///
    /// # Errors
    ///
    /// The errors of [`Firmware::chosen`]; or the disk can't be read, or a device in `--boot` doesn't exist.
    pub fn by_disk(
        config: &FirmwareConfig,
        devices: &[Box<dyn OpenDevice>],
        runs: bool,
    ) -> anyhow::Result<Self> {
        let (kind, why) = choose(config, devices)?;
        log::info!("firmware: {kind}, since {why}");
        Ok(Self::read(&find::find(kind, Path::new(ROOT))?, config, None, runs)?)
    }

    fn read(
        files: &Files,
        config: &FirmwareConfig,
        kernel: Option<PassedKernel>,
        runs: bool,
    ) -> Result<Self, FirmwareError> {
        let Image { mut bytes, variables, kind } = image::read(files)?;
        let loaded = kernel.map(|kernel| Loaded::new(kernel, kind, Path::new(ROOT))).transpose()?;
        let path = files.code.clone();
        let variables = match &config.vars {
            None => None,
            // An existing file needs no template.
            Some(vars) if variables == 0 && (begins_with_variables(&bytes) || !vars.exists()) => {
                return Err(FirmwareError::NoVariables { path });
            }
            Some(vars) => {
                let code = bytes.split_off(variables);
                let template = std::mem::replace(&mut bytes, code);
                Some(Variables::open(vars, (variables > 0).then_some(&template[..]), runs)?)
            }
        };
        let len = bytes.len() as u64 + variables.as_ref().map_or(0, Variables::size);
        image::check_len(len).map_err(|source| FirmwareError::Image { path: path.clone(), source })?;
        let rom = Rom::new(&bytes).map_err(|source| FirmwareError::Read { path: path.clone(), source })?;
        log::info!("firmware: {} ({})", path.printable(), Size(rom.size()));
        Ok(Self { kind, path, rom: Arc::new(rom), variables, loaded, vga: None })
    }

    /// Warns about devices from which the user may expect it to start, and from which it can't or may not.
    ///
    /// # Errors
    ///
    /// A device in `--boot` doesn't exist.
    pub fn tell_surprises(
        &self,
        config: &FirmwareConfig,
        devices: &[Box<dyn OpenDevice>],
    ) -> Result<(), ConfigError> {
        let sata = devices.iter().filter(|device| device.is_sata()).count();
        if let Some(warning) = too_many(self.kind, sata) {
            log::warn!("{warning}");
        }
        let devices: Vec<_> = devices.iter().filter_map(|device| device.bootable()).collect();
        let asked = config.boot.find(&devices)?;
        if self.kind == Kind::Bios && asked.into_iter().any(|at| devices[at].kind == BootKind::Net) {
            log::warn!(
                "--boot: SeaBIOS starts from no network device, for which it has no driver; --firmware uefi has one"
            );
        }
        Ok(())
    }

    /// The kernel that it loads.
    pub(crate) fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_ref()
    }

    /// Adds what a machine with a screen needs.
    ///
    /// # Errors
    ///
    /// The firmware is a BIOS, and there is no option ROM for the screen.
    pub fn with_screen(self) -> Result<Self, FirmwareError> {
        if self.kind == Kind::Uefi {
            return Ok(self);
        }
        let path = find::vga(Path::new(ROOT))?;
        let read = small_file::read_bytes(&path);
        let rom = read.map_err(|source| FirmwareError::Read { path: path.clone(), source })?;
        log::info!("firmware: {} draws on the screen", path.printable());
        Ok(Self { vga: Some(rom), ..self })
    }

    /// The option ROM of the VGA, if it needs one.
    pub(crate) fn vga_rom(&self) -> Option<&[u8]> {
        self.vga.as_deref()
    }

    /// The flash chip below it with its variables, and the chip's address, for a new machine.
    pub(crate) fn flash(&self) -> Option<(u64, Flash)> {
        Some((self.flash_range()?.start, self.variables.as_ref()?.flash()))
    }

    /// The addresses of that chip.
    pub(crate) fn flash_range(&self) -> Option<Range<u64>> {
        let (end, variables) = (layout::FIRMWARE_END - self.rom.size(), self.variables.as_ref()?);
        Some(end - variables.size()..end)
    }

    /// The file of its variables.
    pub(crate) fn vars(&self) -> Option<&Path> {
        self.variables.as_ref().map(Variables::path)
    }

    /// Waits until its variables are in their file, for at most `patience`. Returns the file's name in words if it takes longer.
    pub(crate) fn finish(&self, patience: Duration) -> Option<&str> {
        self.variables.as_ref()?.finish(patience)
    }

    /// Lets other processes use the file of its variables. Everything has been written to it.
    pub(crate) fn unlock(&self) -> io::Result<()> {
        self.variables.as_ref().map_or(Ok(()), Variables::unlock)
    }

    /// Locks that file again, or returns who uses it.
    pub(crate) fn lock_again(&self) -> io::Result<Option<String>> {
        self.variables.as_ref().map_or(Ok(None), Variables::lock_again)
    }

    /// The chip that contains it, which ends at 4 GiB.
    #[must_use]
    pub fn rom(&self) -> &Arc<Rom> {
        &self.rom
    }

    /// Copies its end to below 1 MiB, where a BIOS runs. There is RAM, as a BIOS would select it with a PC's chipset.
    ///
    /// # Errors
    ///
    /// There is no memory at that place.
    pub fn load(&self, memory: &GuestRam) -> Result<(), GuestMemoryError> {
        let rom = self.rom.as_volatile_slice();
        let len = rom.len().min(usize::try_from(layout::BIOS_LEN).unwrap_or(usize::MAX));
        let mut end = vec![0; len];
        rom.read_slice(&mut end, rom.len() - len)?;
        memory.write_slice(&end, GuestAddress(layout::HIGH_RAM - len as u64))
    }
}

/// The warning for more SATA drives than firmware of this kind supports.
fn too_many(kind: Kind, sata: usize) -> Option<String> {
    (kind == Kind::Bios && sata > SEABIOS_SATA_DRIVES).then(|| {
        format!(
            "SeaBIOS has memory for {SEABIOS_SATA_DRIVES} SATA drives or a few more, and there are {sata}: it may not start from some, which the guest's system sees all the same; bus=virtio has no such limit, and neither has --firmware uefi"
        )
    })
}

/// The kind of firmware for which the first disk to start from is made, and the reason.
fn choose(config: &FirmwareConfig, devices: &[Box<dyn OpenDevice>]) -> anyhow::Result<(Kind, String)> {
    let devices: Vec<_> =
        devices.iter().filter_map(|device| Some((device.bootable()?, device.image()))).collect();
    let bootable: Vec<_> = devices.iter().map(|(device, _)| device.clone()).collect();
    let mut order = config.boot.find(&bootable)?.into_iter().chain(0..devices.len());
    let disk = order.find_map(|at| devices[at].1.filter(|_| devices[at].0.kind == BootKind::Disk));
    let Some(disk) = disk else { return Ok((Kind::Bios, "there is no disk".to_owned())) };
    let name = disk.name().printable().to_string();
    match by_disk::look(disk) {
        Ok((kind, why)) => Ok((kind, format!("disk {name}: {why}"))),
        Err(source) => Err(FirmwareError::Disk { name, source }.into()),
    }
}

#[cfg(test)]
#[path = "firmware_test.rs"]
mod tests;
