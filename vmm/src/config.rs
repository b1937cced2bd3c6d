//! The machine to build: every option given a meaning, checked as far as it can be without the host.

mod disk;
mod words;

use std::{
    ffi::OsStr,
    fmt, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use arch::cpu::{
    spec::{CpuSpec, Nested, SpecError},
    topology::Topology,
};
use devices::printable::ToPrintable;
use serde::Deserialize;

pub use self::disk::{Discard, DiskConfig};
use crate::{
    board::DeviceConfig,
    cli::{MachineArgs, OnPanic, OnReboot},
    libvirt::{self, CpuElement, XmlError},
    size::{Size, SizeError},
    small_file,
    smp::{Smp, SmpError},
};

/// A whole machine.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// What the guest's CPUs are.
    pub cpu: CpuSpec,
    /// How many of them there are, and how they are arranged.
    pub topology: Topology,
    /// Guest RAM.
    pub memory: MemoryConfig,
    /// The kernel image.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initramfs: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
    /// The devices that options ask for, in the order in which they are opened and plugged in: disks before all that is written
    /// to, whose files might be theirs.
    pub devices: Vec<DeviceConfig>,
    /// What the guest's reboot does.
    pub on_reboot: OnReboot,
    /// What its kernel's panic does; none if nothing hears of it.
    pub on_panic: Option<OnPanic>,
    /// How long the guest has to power off after SIGTERM.
    pub grace: Duration,
}

/// `--memory`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// How much.
    pub size: Size,
    /// Back it with 2 MiB pages from the host's pool.
    #[serde(default)]
    pub hugepages: bool,
    /// Allocate all of it before the guest starts.
    #[serde(default)]
    pub prefault: bool,
}

/// `--serial`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SerialConfig {
    /// The terminal, or whatever stdin and stdout are.
    Stdio,
    /// Nowhere.
    Null,
    /// A file, made or emptied.
    File(PathBuf),
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--cpu`.
    #[error("--cpu")]
    Cpu(#[source] SpecError),
    /// `--cpu file:PATH`, with a file that can't be read.
    #[error("--cpu file:{}", .0.display())]
    CpuFile(PathBuf, #[source] io::Error),
    /// `--cpu file:PATH`, with a file that says something else.
    #[error("--cpu file:{}", .0.display())]
    CpuXml(PathBuf, #[source] XmlError),
    /// `--smp 4,cores=2` and `<topology>`.
    #[error(
        "--smp {0}: the file of --cpu has a <topology>; give only the number of vCPUs, or take the element out"
    )]
    TwoTopologies(String),
    /// `--smp`.
    #[error("--smp {0}")]
    Smp(String, #[source] SmpError),
    /// `--memory`, as a bare size.
    #[error("--memory {0}")]
    Size(String, #[source] SizeError),
    /// `--memory 0`.
    #[error("--memory {0}: a machine needs memory; give an amount such as 512M")]
    NoMemory(String),
    /// `--memory 1K`.
    #[error("--memory {0}: memory comes in pages; give a multiple of {unit}", unit = Size(*.1))]
    OddMemory(String, u64),
    /// An option with `key=value` parts.
    #[error("{option} {given}: {why}")]
    Keys {
        /// The option's name.
        option: &'static str,
        /// What was given.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// `--serial`.
    #[error("--serial {0}: give stdio, null or file=PATH")]
    Serial(String),
}

impl ConfigError {
    /// Adds to an error about an unknown key that `first`, which it is in, may be a name as a whole.
    fn with_hint(self, first: &str) -> Self {
        let shown = words::decode(first).printable().to_string();
        let key = shown.split('=').next().unwrap_or_default();
        match self {
            Self::Keys { option, given, why } if why.contains(&format!("unknown field `{key}`")) => {
                let name = shown.replace(',', ",,");
                let why = format!("{why}; if '{name}' is a file's name, write path={name}");
                Self::Keys { option, given, why }
            }
            other => other,
        }
    }
}

impl VmConfig {
    /// Gives the user's words a meaning.
    ///
    /// # Errors
    ///
    /// A word that has none; the message repeats it and says what would do.
    pub fn new(args: &MachineArgs) -> Result<Self, ConfigError> {
        let (cpu, topology) = cpu(&args.cpu, args.smp.as_deref(), args.nested)?;
        let disks: Vec<_> = args.disk.iter().map(|disk| DiskConfig::parse(disk)).collect::<Result<_, _>>()?;
        disk::check_several(&disks, &args.disk)?;
        let disks = disks.into_iter().map(|disk| DeviceConfig::Disk(Box::new(disk)));
        let rng = (args.rng != "off").then(|| DeviceConfig::Rng(args.rng.clone().into()));
        let serial = DeviceConfig::Serial(serial(&args.serial)?);
        let panic = args.on_panic.map(|_| DeviceConfig::Panic);
        // The last, so that it is the one in the way.
        let debug_exit = args.debug_exit.map(DeviceConfig::DebugExit);
        Ok(Self {
            cpu,
            topology,
            memory: memory(&args.memory)?,
            kernel: args.kernel.clone().unwrap_or_default(),
            initramfs: args.initramfs.clone(),
            cmdline: args.cmdline.clone(),
            devices: [DeviceConfig::Rtc]
                .into_iter()
                .chain(disks)
                .chain(rng)
                .chain([serial])
                .chain(panic)
                .chain(debug_exit)
                .collect(),
            on_reboot: args.on_reboot,
            on_panic: args.on_panic,
            grace: Duration::from_secs(args.grace.into()),
        })
    }

    /// The disks among the devices, in the order of their PCI addresses.
    pub fn disks(&self) -> impl Iterator<Item = &DiskConfig> {
        self.devices.iter().filter_map(|device| match device {
            DeviceConfig::Disk(disk) => Some(&**disk),
            _ => None,
        })
    }

    /// The back end of COM1.
    #[must_use]
    pub fn serial(&self) -> &SerialConfig {
        let serial = self.devices.iter().find_map(|device| match device {
            DeviceConfig::Serial(serial) => Some(serial),
            _ => None,
        });
        serial.unwrap_or(&SerialConfig::Null)
    }
}

/// As it was given.
impl fmt::Display for SerialConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("stdio"),
            Self::Null => f.write_str("null"),
            Self::File(path) => write!(f, "file={}", path.printable()),
        }
    }
}

/// Gives `--cpu`, `--smp` and `--nested` a meaning.
///
/// # Errors
///
/// As [`VmConfig::new`].
pub fn cpu(given: &str, smp: Option<&str>, nested: Nested) -> Result<(CpuSpec, Topology), ConfigError> {
    let (spec, theirs) = match given.strip_prefix("file:").map(Path::new) {
        None => (given.parse().map_err(ConfigError::Cpu)?, None),
        Some(path) => cpu_file(path)?,
    };
    let ours = smp.map(self::smp).transpose()?;
    let arranged = match (ours, theirs) {
        (Some(ours), None) => ours,
        (None, theirs) => theirs.unwrap_or_default(),
        (Some(ours), Some(theirs)) if ours == (Smp { cpus: ours.cpus, ..Smp::default() }) => {
            Smp { cpus: ours.cpus, ..theirs }
        }
        (Some(_), Some(_)) => return Err(ConfigError::TwoTopologies(smp.unwrap_or_default().to_owned())),
    };
    let topology =
        arranged.topology().map_err(|error| ConfigError::Smp(smp.unwrap_or(given).to_owned(), error))?;
    Ok((CpuSpec { nested, ..spec }, topology))
}

/// A CPU in libvirt's words, and its `<topology>`.
fn cpu_file(path: &Path) -> Result<(CpuSpec, Option<Smp>), ConfigError> {
    let text = small_file::read(path).map_err(|error| ConfigError::CpuFile(path.to_owned(), error))?;
    let CpuElement { spec, topology, ignored } =
        libvirt::parse(&text).map_err(|error| ConfigError::CpuXml(path.to_owned(), error))?;
    for ignored in ignored {
        log::warn!("--cpu file:{}: {ignored}", path.display());
    }
    Ok((spec, topology))
}

fn smp(given: &str) -> Result<Smp, ConfigError> {
    let bare = !given.split(',').next().unwrap_or_default().contains('=');
    if bare { keys("--smp", given, &format!("cpus={given}")) } else { keys("--smp", given, given) }
}

fn memory(given: &str) -> Result<MemoryConfig, ConfigError> {
    let config: MemoryConfig = if given.contains('=') {
        keys("--memory", given, given)?
    } else {
        let size = given.parse().map_err(|error| ConfigError::Size(given.to_owned(), error))?;
        MemoryConfig { size, hugepages: false, prefault: false }
    };
    let unit = if config.hugepages { crate::memory::HUGE_PAGE } else { crate::memory::PAGE };
    match config.size.0 {
        0 => Err(ConfigError::NoMemory(given.to_owned())),
        size if !size.is_multiple_of(unit) => Err(ConfigError::OddMemory(given.to_owned(), unit)),
        _ => Ok(config),
    }
}

fn serial(given: &OsStr) -> Result<SerialConfig, ConfigError> {
    match given.as_bytes() {
        b"stdio" => Ok(SerialConfig::Stdio),
        b"null" => Ok(SerialConfig::Null),
        bytes => match bytes.strip_prefix(b"file=").filter(|path| !path.is_empty()) {
            Some(path) => Ok(SerialConfig::File(OsStr::from_bytes(path).into())),
            None => Err(ConfigError::Serial(given.printable().to_string())),
        },
    }
}

fn keys<'a, T: Deserialize<'a>>(option: &'static str, given: &str, text: &'a str) -> Result<T, ConfigError> {
    use serde_aco::Error;
    serde_aco::from_arg(text).map_err(|error| {
        let why = match error {
            Error::Message(message) => message,
            Error::ExpectedInteger => "give a whole number".to_owned(),
            Error::Overflow => "the number is too large".to_owned(),
            Error::ExpectedBool => "give on or off".to_owned(),
            Error::ExpectedMapEq => "give key=value, with commas between".to_owned(),
            Error::Trailing(rest) => format!("'{rest}' is left over"),
            other => other.to_string(),
        };
        ConfigError::Keys {
            option,
            given: given.to_owned(),
            why: words::decode(&why).printable().to_string(),
        }
    })
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
