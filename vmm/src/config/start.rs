//! `--kernel` and `--firmware`: the software with which a machine starts.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use devices::printable::ToPrintable;

use super::{boot::BootConfig, error::ConfigError, keys::Keys, words};
use crate::args::MachineArgs;

const OPTION: &str = "--firmware";
/// The kernel's command line without `--cmdline`.
const DEFAULT_CMDLINE: &str = "console=ttyS0";

/// The software with which a machine starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartConfig {
    /// A kernel that nvmm loads.
    Kernel(KernelConfig),
    /// Firmware, which loads the boot loader on a disk, or a kernel.
    Firmware(FirmwareConfig),
}

/// `--kernel`, and the options that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// The kernel image.
    pub path: PathBuf,
    /// The initial RAM disk.
    pub initramfs: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
}

/// `--firmware` and `--boot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareConfig {
    /// The firmware; none if the first disk decides.
    pub choice: Option<FirmwareChoice>,
    /// The file with UEFI's variables.
    pub vars: Option<PathBuf>,
    /// The kernel that it loads, instead of trying devices.
    pub kernel: Option<KernelConfig>,
    /// The devices that it starts from.
    pub boot: BootConfig,
}

/// The firmware for which `--firmware` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirmwareChoice {
    /// The host's SeaBIOS.
    Bios,
    /// The host's OVMF.
    Uefi,
    /// A file.
    File(PathBuf),
}

impl StartConfig {
    /// Parses the options.
    ///
    /// # Errors
    ///
    /// A value is invalid, options contradict each other, or nothing says what to start.
    pub(super) fn parse(args: &MachineArgs) -> Result<Self, ConfigError> {
        let only_with = |option, other| Err(ConfigError::OnlyWith { option, other });
        let kernel = args.kernel.as_ref().map(|path| KernelConfig {
            path: path.clone(),
            initramfs: args.initramfs.clone(),
            cmdline: args.cmdline.clone().unwrap_or_else(|| DEFAULT_CMDLINE.to_owned()),
        });
        let kernel = match kernel {
            Some(_) if args.firmware.is_none() && args.boot.is_some() => {
                return only_with(
                    "--boot",
                    "firmware, and --kernel starts without; give --firmware, too, or leave --boot out",
                );
            }
            Some(kernel) if args.firmware.is_none() => return Ok(Self::Kernel(kernel)),
            None if args.initramfs.is_some() => return only_with("--initramfs", "--kernel"),
            None if args.cmdline.is_some() => return only_with("--cmdline", "--kernel"),
            None if args.firmware.is_none() && args.disk.is_empty() && args.cdrom.is_none() => {
                return Err(ConfigError::NothingToStart);
            }
            kernel => kernel,
        };
        let (choice, vars) = args.firmware.as_deref().map(firmware).transpose()?.unzip();
        let boot = args.boot.as_deref().map(BootConfig::parse).transpose()?.unwrap_or_default();
        Ok(Self::Firmware(FirmwareConfig { choice, vars: vars.flatten(), kernel, boot }))
    }

    /// The devices to start from, if there is firmware.
    #[must_use]
    pub fn boot(&self) -> Option<&BootConfig> {
        match self {
            Self::Kernel(_) => None,
            Self::Firmware(firmware) => Some(&firmware.boot),
        }
    }

    /// The kernel, whether nvmm or firmware loads it.
    #[must_use]
    pub fn kernel(&self) -> Option<&KernelConfig> {
        match self {
            Self::Kernel(kernel) => Some(kernel),
            Self::Firmware(firmware) => firmware.kernel.as_ref(),
        }
    }

    /// Returns the files that the options name, each with its option.
    pub(crate) fn files(&self) -> Vec<(&'static str, &Path)> {
        let kernel = self.kernel().into_iter().flat_map(|KernelConfig { path, initramfs, .. }| {
            let initramfs = initramfs.iter().map(|path| ("--initramfs", path.as_path()));
            [("--kernel", path.as_path())].into_iter().chain(initramfs)
        });
        let firmware = match self {
            Self::Kernel(_) => Vec::new(),
            Self::Firmware(FirmwareConfig { choice, vars, .. }) => {
                let image = match choice {
                    Some(FirmwareChoice::File(path)) => Some((OPTION, path.as_path())),
                    _ => None,
                };
                let vars = vars.iter().map(|path| ("vars= of --firmware", path.as_path()));
                image.into_iter().chain(vars).collect()
            }
        };
        kernel.chain(firmware).collect()
    }
}

/// Parses the firmware, and the file of its variables.
fn firmware(given: &OsStr) -> Result<(FirmwareChoice, Option<PathBuf>), ConfigError> {
    let text = words::encode(given);
    let mut parts = text.split(',');
    let first = parts.next().unwrap_or_default();
    let vars = Keys::of(parts).and_then(|mut keys| {
        let vars = keys.value("vars", "PATH")?;
        keys.end("vars=PATH, and a comma in a path twice")?;
        match vars {
            Some("") => Err("'vars=' needs a value: vars=PATH".to_owned()),
            Some(path) if path.ends_with('/') => {
                let path = words::decode(path);
                Err(format!(
                    "{} is a folder's name; give a file's, which is made if it is not there",
                    path.printable()
                ))
            }
            _ => Ok(vars.map(|path| words::decode(path).into())),
        }
    });
    let chosen = vars.and_then(|vars| match first {
        "" => Err("give bios, uefi or an image's path".to_owned()),
        "bios" if vars.is_some() => Err("a BIOS has no variables; give vars= with uefi".to_owned()),
        "bios" => Ok((FirmwareChoice::Bios, vars)),
        "uefi" => Ok((FirmwareChoice::Uefi, vars)),
        path => Ok((FirmwareChoice::File(words::decode(path).into()), vars)),
    });
    chosen.map_err(|why| ConfigError::Keys { option: OPTION, given: given.printable().to_string(), why })
}

#[cfg(test)]
#[path = "start_test.rs"]
mod tests;
