//! The scenarios: instructions to level 1, and the record that it leaves for level 0.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, bail};
use arch::cpu::cpuid::Cpuid;
use serde::{Deserialize, Serialize};
use vmm::nest::image::Memfd;

use crate::check::Check;
use crate::disks::DiskFacts;
use crate::facts::Facts;
use crate::legacy::LegacyFacts;
use crate::ports::PortFacts;
use crate::system::SystemFacts;

/// The kernel parameter that names level 1's scenario.
pub(crate) const PARAMETER: &str = "lab.scenario=";
/// Level 1 records its facts and powers off.
pub(crate) const LOOK: &str = "look";
/// Level 1 repeatedly starts level 2 and resets itself while that runs.
pub(crate) const RESETS: &str = "resets";

/// Level 1 loads KVM, or fails to, and starts a tiny level 2.
pub(crate) const NEST: &str = "nest";
/// The same with Linux as level 2.
pub(crate) const NEST_LINUX: &str = "nest-linux";

/// Level 1 uses its serial ports, its balloon, and all disks except its own, and then hangs.
pub(crate) const DEVICES: &str = "devices";

/// Level 1 uses transitional devices as a driver from before virtio 1.0.
pub(crate) const LEGACY: &str = "legacy";

/// Level 1 writes on its screen, and waits until level 0 ends it.
pub(crate) const SCREEN: &str = "screen";

/// Level 1 uses sockets that level 0's kernel serves, and resets itself in between.
pub(crate) const VHOST: &str = "vhost";

/// Level 1 is on a network, and starts a Linux as level 2 on a network of its own, which can be logged in to.
pub(crate) const SSH: &str = "ssh";

/// Level 1 switches to Debian's system.
pub(crate) const SYSTEM: &str = "system";

/// Level 1 is saved and restored before KVM is loaded, with KVM on, and while level 2 and level 3 run.
pub(crate) const SNAPSHOT: &str = "snapshot";
/// The same without Linux as level 2, and without a level 3.
pub(crate) const TINY_SNAPSHOT: &str = "tiny-snapshot";
/// Level 1 moves at some of these moments.
pub(crate) const MIGRATION: &str = "migration";

/// Level 1 debugs a tiny level 2, and is debugged itself.
pub(crate) const DEBUG: &str = "debug";

/// The size of the disk in bytes.
pub(crate) const DISK_LEN: u64 = 64 << 10;

/// The serial number and the UUID that level 1's machine is given.
pub(crate) const SERIAL: &str = "lab-1";
pub(crate) const UUID: &str = "6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11";

/// The record that level 1 keeps on its disk, for its own next boot and for level 0.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The number of its boots.
    pub(crate) boots: usize,
    /// The number of resets that it made while level 2 ran.
    pub(crate) resets: usize,
    /// True if level 2 ran to its end after all that.
    pub(crate) ran_level_2: bool,
    /// The facts of its first boot.
    pub(crate) facts: Option<Facts>,
    /// The CPUID of each of its CPUs at that time, if the scenario needs it.
    pub(crate) cpuid: Vec<Cpuid>,
    /// The answer of `nvmm check` at the end.
    pub(crate) check: Option<Check>,
    /// The kernel's message if KVM's module didn't load.
    pub(crate) refusal: Option<String>,
    /// The facts of its other disks.
    pub(crate) disks: Vec<DiskFacts>,
    /// The facts of its transitional devices, by their IDs.
    #[serde(default)]
    pub(crate) legacy: Vec<LegacyFacts>,
    /// The facts of its serial ports, and of their use.
    pub(crate) ports: Vec<PortFacts>,
    /// Level 1 has exchanged bytes with level 0's programs.
    pub(crate) used_sockets: bool,
    /// True if its balloon's driver reports free pages.
    pub(crate) reports_free_pages: bool,
    /// The name of its frame buffer.
    #[serde(default)]
    pub(crate) framebuffer: String,
    /// The kernel's warnings, if the scenario needs them.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// Level 1 has debugged its own guest.
    pub(crate) debugged: bool,
    /// Level 1 continued after each save or move, and its clocks did not go back.
    #[serde(default)]
    pub(crate) went_on: bool,
    /// The parameters of KVM's module.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The facts collected in Debian's system, or the reason why they are missing.
    pub(crate) system: Option<Result<SystemFacts, String>>,
}

/// Creates a disk for a record.
pub(crate) fn empty_disk() -> anyhow::Result<Memfd> {
    let disk = Memfd::new(c"disk").context("making the disk")?;
    let file = OpenOptions::new().write(true).open(disk.path());
    file.and_then(|disk| disk.set_len(DISK_LEN)).context("making the disk")?;
    Ok(disk)
}

impl Record {
    /// The record on `disk`; on an empty disk, that of a machine that never ran.
    pub(crate) fn read(disk: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        File::open(disk)
            .and_then(|disk| disk.take(DISK_LEN).read_to_string(&mut text))
            .with_context(|| format!("reading {}", disk.display()))?;
        let text = text.trim_end_matches('\0');
        if text.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).context("in the record on the disk")
    }

    /// Writes it to the disk, so that a reset can't lose it.
    pub(crate) fn write(&self, disk: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(self).context("writing the record")?;
        if text.len() > usize::try_from(DISK_LEN)? {
            bail!("the record has {} bytes", text.len());
        }
        text.resize(usize::try_from(DISK_LEN)?, 0);
        let write = || {
            let disk = OpenOptions::new().write(true).open(disk)?;
            disk.write_all_at(&text, 0)?;
            disk.sync_all()
        };
        write().with_context(|| format!("writing {}", disk.display()))
    }
}

#[cfg(test)]
#[path = "scenario_test.rs"]
mod tests;
