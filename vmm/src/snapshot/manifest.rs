//! `machine.json`: the description of a snapshot, its requirements, and the checksums of its other files.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use arch::cpu::{cpuid::Cpuid, host::HostCpu};
use devices::printable::ToPrintable;
use serde::{Deserialize, Serialize};

use super::{
    files::{MACHINE, STATE},
    memory::MemoryLayout,
    msrs::Values,
    options::Options,
};
use crate::small_file;

/// The version of the format. It is raised whenever an older nvmm could not read newer snapshots.
pub(crate) const FORMAT: u32 = 1;

/// The most bytes of `state.json`: a vCPU and a device each have less than 64 KiB.
const MOST_STATE: u64 = 1 << 30;

/// The file begins with this text, then eight hexadecimal digits, and `AFTER`. The checksum covers everything after that.
const BEFORE: &str = "{\n  \"crc32\": \"";
const AFTER: &str = "\",\n";

/// The contents of `machine.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Manifest {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The version of the nvmm that wrote it.
    pub(crate) nvmm: String,
    /// The release of the host's kernel, to which running nested guests are bound.
    pub(crate) kernel: String,
    /// The time when it was saved, in seconds since 1970.
    pub(crate) saved: u64,
    /// The directory to which relative paths in the options refer.
    pub(crate) folder: PathBuf,
    /// The machine's options as the user gave them.
    pub(crate) options: Options,
    /// The guest's CPU.
    pub(crate) cpu: CpuRecord,
    /// The vCPUs that run a nested guest, or have a VMCS loaded.
    pub(crate) nested_guests: Vec<u32>,
    /// The state of the disks at that time.
    pub(crate) disks: Vec<DiskRecord>,
    /// The state of the files that options read, at that time.
    pub(crate) files: Vec<FileRecord>,
    /// The checksum of the firmware's ROM.
    pub(crate) rom: Option<Sum>,
    /// The checksum of [`STATE`].
    pub(crate) state: Sum,
    /// The layout of the memory file.
    pub(crate) memory: MemoryLayout,
}

/// The CPU that was decided on for the machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CpuRecord {
    /// The number of vCPUs.
    pub(crate) vcpus: u32,
    /// The value of `--cpu`, shortened.
    pub(crate) spec: String,
    /// The CPU's name.
    pub(crate) brand: String,
    /// The names of the features.
    pub(crate) features: Vec<String>,
    /// The first vCPU's CPUID.
    pub(crate) cpuid: Cpuid,
    /// The MSRs that report capabilities.
    pub(crate) msrs: Values,
    /// The host on which the CPU was decided. The options give the same CPU again from it on any host.
    pub(crate) host: HostCpu,
}

/// The length and checksum of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sum {
    len: u64,
    crc32: u32,
}

/// A file that an option read.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    pub(crate) option: String,
    pub(crate) path: PathBuf,
    pub(crate) sum: Sum,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DiskRecord {
    /// The name in messages.
    pub(crate) name: String,
    /// The size in bytes, as the guest sees it; none without a medium.
    pub(crate) size: Option<u64>,
    /// The files: the image, its overlay, and the files that these refer to.
    pub(crate) files: Vec<ImageRecord>,
}

/// A file of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageRecord {
    pub(crate) path: PathBuf,
    /// The length in bytes; `None` for a block device.
    pub(crate) len: Option<u64>,
    /// The time of its last change, in nanoseconds since 1970; `None` for a block device.
    pub(crate) modified: Option<u64>,
}

impl Sum {
    /// The length and checksum of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }

    /// The number of bytes.
    pub(crate) fn len(self) -> u64 {
        self.len
    }
}

impl Manifest {
    /// The contents of the file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        let rest = text.strip_prefix("{\n").context("a manifest without members")?;
        Ok(format!("{BEFORE}{:08x}{AFTER}{rest}", crc32fast::hash(rest.as_bytes())).into_bytes())
    }

    /// Reads the manifest of the snapshot at `path`.
    ///
    /// # Errors
    ///
    /// There is none, it is damaged, or its format is unknown.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = path.printable();
        let found = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!("{shown}: there is no such directory"),
            _ => anyhow::Error::from(error).context(shown.to_string()),
        })?;
        if !found.is_dir() {
            bail!("{shown}: that is no snapshot, which is a directory");
        }
        let read = small_file::read_regular(&path.join(MACHINE));
        let text = read.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!("{shown}: that is no snapshot: it has no {MACHINE}"),
            _ => anyhow::Error::from(error).context(format!("{shown}: {MACHINE}")),
        })?;
        Self::parse(&text).with_context(|| format!("{shown}: {MACHINE}"))
    }

    /// Parses a manifest.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
            nvmm: String,
        }
        const DAMAGED: &str = "it was changed or damaged since it was saved (its checksum is wrong)";
        // Snapshots of other versions may have no such checksum.
        if let Ok(Format { format, nvmm }) = serde_json::from_str(text)
            && format != FORMAT
        {
            bail!(
                "it has format {format}, of nvmm {nvmm}, and this nvmm reads format {FORMAT}: restore it with that one"
            );
        }
        let rest = text.strip_prefix(BEFORE).and_then(|rest| rest.split_once(AFTER)).context(DAMAGED)?;
        let (digits, rest) = rest;
        if u32::from_str_radix(digits, 16) != Ok(crc32fast::hash(rest.as_bytes())) || digits.len() != 8 {
            bail!(DAMAGED);
        }
        Ok(serde_json::from_str(&format!("{{\n{rest}"))?)
    }

    /// The command line of the machine: its saved options combined with those of `line`. Both begin with the program's name.
    ///
    /// # Errors
    ///
    /// Some options can't be changed; the error lists all of them.
    pub(crate) fn command_line(&self, line: &[OsString]) -> Result<Vec<OsString>, Vec<String>> {
        let given = Options::of_line(line).map_err(|error| vec![error.to_string()])?;
        let words = self.options.restored_by(&given)?;
        Ok(line.iter().take(1).cloned().chain(words).collect())
    }

    /// Returns whether this is the text of [`STATE`].
    pub(crate) fn is_state(&self, text: &[u8]) -> bool {
        Sum::of(text) == self.state
    }

    /// Checks the other files of the snapshot at `path`, without reading them: they exist, and have the right lengths.
    ///
    /// # Errors
    ///
    /// A file is damaged, or can't be opened.
    pub(super) fn check_files(&self, path: &Path) -> Result<()> {
        self.open_state(path)?;
        self.memory.open(path).map(drop)
    }

    fn open_state(&self, path: &Path) -> Result<File> {
        let name = || format!("{}: {STATE}", path.printable());
        let file = small_file::open_regular(&path.join(STATE)).with_context(name)?;
        let len = file.metadata().with_context(name)?.len();
        if len != self.state.len() || len > MOST_STATE {
            bail!("{}: it was changed or damaged since it was saved (its length is wrong)", name());
        }
        Ok(file)
    }

    /// Reads the text of [`STATE`].
    ///
    /// # Errors
    ///
    /// The file is damaged, or can't be read.
    pub(crate) fn read_state(&self, path: &Path) -> Result<Vec<u8>> {
        let name = || format!("{}: {STATE}", path.printable());
        let mut bytes = Vec::new();
        // It may grow meanwhile.
        self.open_state(path)?.take(self.state.len()).read_to_end(&mut bytes).with_context(name)?;
        if Sum::of(&bytes) != self.state {
            bail!("{}: it was changed or damaged since it was saved (its checksum is wrong)", name());
        }
        Ok(bytes)
    }
}
