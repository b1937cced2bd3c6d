//! Debian's own system as level 1: level 0 starts and checks it, level 1's /init hands over to it, and nvmm's script logs in there and runs
//! a program that collects facts.
//!
//! kvm-clock is off, so that the system gets its date only from the real-time clock.

use std::ffi::OsStr;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use rustix::mount::{MountFlags, mount, mount_move};
use serde::{Deserialize, Serialize};
use vmm::nest::image::{self, Manifest, Memfd};

use crate::interrupts;
use crate::level0::Guest;
use crate::scenario::{self, Record, SERIAL, UUID};

/// The serial number of the system's disk, if the host provides one.
pub(crate) const DISK: &str = "system";
/// The argument with which the job runs this program.
const LOOK: &str = "look-at-the-system";

/// Level 1's disk for the record, and the system's.
const RECORD: &str = "/dev/vda";
const ROOT: &str = "/dev/vdb";

/// The script: it logs in, makes this program record facts for level 0, and takes its status. The quotes distinguish the echo of the
/// command from its output. The host limits the time.
const JOB: [&str; 18] = [
    "--expect-timeout",
    "0",
    "--expect",
    "login: ",
    "--send",
    "root",
    "--expect",
    "Password: ",
    "--send",
    PASSWORD,
    "--expect",
    "re:^root@.*# $",
    "--send",
    r#"/run/lab look-at-the-system; echo "status="$?"#,
    "--expect",
    "re:^status=0$",
    "--send",
    "systemctl poweroff",
];
/// The image's password.
const PASSWORD: &str = "lab";

/// The seconds by which the real-time clock may differ from level 0's, which has a resolution of a second.
const RTC_TOLERANCE: u64 = 2;
/// The seconds by which the system's date may differ. It is kept by a TSC or PM timer that Linux calibrated on a busy machine.
const DATE_TOLERANCE: u64 = 60;

/// The facts of the system and its machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SystemFacts {
    /// The answer of `systemctl is-system-running`: `running`, `degraded` ...
    state: String,
    /// The units that failed, one per line.
    failed: Vec<String>,
    /// The system's date, in seconds since 1970.
    date: u64,
    /// The real-time clock's date, as the kernel reads it.
    rtc: u64,
    /// The clock's interrupts.
    rtc_interrupts: u64,
    clock_source: String,
    /// The device that the kernel takes random numbers from.
    random: String,
    /// The contents of /etc/machine-id. On its first boot in KVM, systemd takes it from SMBIOS's UUID.
    machine_id: String,
    /// By dmidecode.
    serial: String,
    uuid: String,
    /// All of dmidecode's output.
    tables: String,
    /// Kernel messages of level warning and above.
    warnings: Vec<String>,
    /// The kernel's message that it has set the date by the real-time clock.
    date_set: Option<String>,
}

/// Level 0: runs the system and checks it.
pub(crate) fn run(manifest: &Manifest, image: &Memfd, disk: &Path) -> anyhow::Result<()> {
    // For the temporary overlay.
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    let guest = Guest {
        // With XSAVE, Linux warns of mismatched sizes on QEMU's CPU, also on level 0.
        cpu: "host-passthrough,-xsave",
        smp: "1",
        scenario: scenario::SYSTEM,
        parameters: "no-kvmclock",
        disks: vec![format!("path={},format=raw,overlay=temp", disk.display())],
        options: JOB.to_vec(),
        ..Guest::default()
    };
    let before = now()?;
    let record = guest.record(manifest, image, &mut |_, _| Ok(()))?;
    let found = record.system.context("it powered off before the job ran")?;
    judge(&found.map_err(anyhow::Error::msg)?, before..=now()?)
}

/// Level 1: makes the other disk the root, and starts the system there. Returns only if that fails.
pub(crate) fn start() -> anyhow::Result<()> {
    let mut record = Record::read(Path::new(RECORD))?;
    record.boots += 1;
    ensure!(record.boots == 1, "it came up again, where it was to power off");
    record.write(Path::new(RECORD))?;

    let root = Path::new("/system");
    fs::create_dir(root).context("making /system")?;
    mount(ROOT, root, "ext4", MountFlags::empty(), None).with_context(|| format!("mounting {ROOT}"))?;
    mount("tmpfs", root.join("run"), "tmpfs", MountFlags::empty(), c"mode=755").context("mounting /run")?;
    add_program(&root.join("run/lab")).context("adding this program")?;
    for folder in ["dev", "proc", "sys"] {
        mount_move(image::in_root(folder), root.join(folder)).with_context(|| format!("moving /{folder}"))?;
    }
    // The new root can't be moved to one that the path below it begins at.
    rustix::process::chdir(root).context("changing to /system")?;
    mount_move(".", "/").context("moving the root")?;
    rustix::process::chroot(".").context("changing the root")?;
    Err(Command::new("/sbin/init").exec()).context("starting /sbin/init")
}

/// Adds the program in /run, as an initramfs may: systemd leaves that as it finds it.
fn add_program(program: &Path) -> anyhow::Result<()> {
    fs::copy(image::in_root(image::INIT), program)?;
    Ok(fs::set_permissions(program, fs::Permissions::from_mode(0o755))?)
}

/// Returns whether this process must call [`look`].
pub(crate) fn is_job() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == OsStr::new(LOOK))
}

/// The job in level 1: records facts, or the reason why it can't collect them.
pub(crate) fn look() -> anyhow::Result<()> {
    let mut record = Record::read(Path::new(RECORD))?;
    record.system = Some(SystemFacts::gather().map_err(|error| format!("{error:#}")));
    record.write(Path::new(RECORD))
}

impl SystemFacts {
    fn gather() -> anyhow::Result<Self> {
        // systemctl waits until no unit is still being started. Its status and its output say the same.
        let state = said("systemctl", &["is-system-running", "--wait"])?.0;
        let messages = output("dmesg", &["--kernel", "--notime"])?;
        let warnings = output("dmesg", &["--kernel", "--notime", "--level=warn,err,crit,alert,emerg"])?;
        // It waits for the clock's next second: by its interrupt, or if none arrives by polling.
        output("hwclock", &["--show", "--utc"])?;
        Ok(Self {
            state,
            failed: lines(&output("systemctl", &["--failed", "--plain", "--no-legend", "--full"])?),
            date: now()?,
            rtc: read("/sys/class/rtc/rtc0/since_epoch")?.parse().context("in since_epoch")?,
            rtc_interrupts: interrupts::of_device(&interrupts::read()?, "rtc0"),
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource")?,
            random: read("/sys/class/misc/hw_random/rng_current")?,
            machine_id: read("/etc/machine-id")?,
            serial: output("dmidecode", &["--string", "system-serial-number"])?,
            uuid: output("dmidecode", &["--string", "system-uuid"])?,
            tables: output("dmidecode", &[])?,
            warnings: lines(&warnings).into_iter().take(KEPT).collect(),
            date_set: messages.lines().find(|line| line.contains(DATE_SET)).map(str::to_owned),
        })
    }
}

/// `rtc_cmos rtc_cmos: setting system clock to 2026-11-28T09:30:00 UTC (1795858200)`.
const DATE_SET: &str = "setting system clock to";

/// dmidecode's words for tables that violate the specification.
const WRONG: [&str; 7] = ["BAD", "OUT OF SPEC", "broken", "Invalid", "TRUNCATED", "Wrong", "WARNING"];

/// Kernel messages that indicate no fault of the machine.
const USUAL: [&str; 10] = [
    // An exit takes an emulated host longer than Linux allows for reading the PIT or the PM timer, by which it calibrates the TSC.
    "tsc: Unable to calibrate against PIT",
    "tsc: HPET/PMTIMER calibration failed",
    // Interrupts are late there, including those by which the APIC timer is calibrated.
    "APIC calibration not consistent with PM-Timer",
    "hrtimer: interrupt took",
    // Linux then stops using the TSC, and prints four lines about it.
    "Unstable clock detected, switching default tracing clock to \"global\"",
    "If you want to keep using the local clock, then add:",
    "\"trace_clock=local\"",
    "on the kernel command line",
    // About the image's file system.
    "supports timestamps until 2038",
    // About Debian's kernel.
    "device-mapper: core: CONFIG_IMA_DISABLE_HTABLE is disabled",
];

/// The most faults that are listed: an outcome is one line on the console, and lines have a limit.
const NAMED: usize = 15;
/// The most kernel messages that are kept: the record has a limit.
const KEPT: usize = 100;

/// Lists all faults of a system that ran during `times`.
fn judge(found: &SystemFacts, times: RangeInclusive<u64>) -> anyhow::Result<()> {
    let within = |time: u64, tolerance: u64| {
        (times.start().saturating_sub(tolerance)..=times.end().saturating_add(tolerance)).contains(&time)
    };
    let machine_id = UUID.replace('-', "");
    let tables = found.tables.lines().filter(|line| WRONG.iter().any(|word| line.contains(word)));
    let warnings = found.warnings.iter().filter(|line| !USUAL.iter().any(|usual| line.contains(usual)));
    let expected = [
        (found.state == "running", format!("systemd's state is {}", found.state)),
        (found.failed.is_empty(), format!("units failed: {}", found.failed.join("; "))),
        (within(found.rtc, RTC_TOLERANCE), format!("the real-time clock says {}, not {times:?}", found.rtc)),
        (within(found.date, DATE_TOLERANCE), format!("the date is {}, not {times:?}", found.date)),
        (found.rtc_interrupts > 0, "the real-time clock has not interrupted".to_owned()),
        (found.date_set.is_some(), "the kernel has not set the date by the real-time clock".to_owned()),
        (
            ["tsc", "acpi_pm"].contains(&found.clock_source.as_str()),
            format!("the clock source is {}", found.clock_source),
        ),
        (found.random == "virtio_rng.0", format!("random numbers come from {:?}", found.random)),
        (found.machine_id == machine_id, format!("the machine ID is {}, not {machine_id}", found.machine_id)),
        (found.serial == SERIAL, format!("dmidecode's serial number is {:?}, not {SERIAL}", found.serial)),
        (found.uuid == UUID, format!("dmidecode's UUID is {:?}, not {UUID}", found.uuid)),
    ];
    let wrong = expected.into_iter().filter(|(right, _)| !right).map(|(_, why)| why);
    let wrong = wrong.chain(tables.map(|line| format!("dmidecode says: {}", line.trim())));
    let wrong = wrong.chain(warnings.map(|line| format!("the kernel warns: {line}")));
    let wrong: Vec<_> = wrong.take(NAMED).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn now() -> anyhow::Result<u64> {
    Ok(SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_secs())
}

fn read(path: &str) -> anyhow::Result<String> {
    Ok(fs::read_to_string(path).with_context(|| format!("reading {path}"))?.trim_end().to_owned())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Runs a program, which must succeed, and returns its output.
fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    match said(program, args)? {
        (text, true) => Ok(text),
        (text, false) => bail!("{program} {} failed: {text}", args.join(" ")),
    }
}

/// Runs a program, and returns its output, with its errors if it fails, and whether it succeeded.
fn said(program: &str, args: &[&str]) -> anyhow::Result<(String, bool)> {
    let output = Command::new(program).args(args).output().with_context(|| format!("starting {program}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    if !output.status.success() {
        text.push_str(String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok((text, output.status.success()))
}

#[cfg(test)]
#[path = "system_test.rs"]
mod tests;
