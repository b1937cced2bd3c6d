//! Starts the next level under nvmm, in the same way on the host and inside a guest.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use arch::cpu::nesting::{Nesting, Virtualization};
use arch::cpu::profile::CpuProfile;
use rustix::process::{Pid, Signal, kill_process};

use super::child::Child;
use super::clock::Clock;
use super::console::relay;
use super::exec::{parcel, program::Program};
use super::explain::{
    meter::Meter,
    symbols::{self, Symbols},
};
use super::heard::{Failure, Heard};
use super::image::{self, First, Manifest, Memfd};
use super::keep::{self, Keep};
use super::promise::{PROMISE, Promise};
use super::record::FailureKind;
use super::report::{Line, Said};
use super::watch::Watch;
use super::{breakage, disk, facts};
use crate::args::{MachineArgs, OnReboot};
use crate::config::VmConfig;
use crate::host::Host;
use crate::stats::Stats;

/// Memory of the last level in MiB.
const LAST_MIB: u32 = 256;
/// Memory of the last level if it runs the user's program, without the program's files.
const LAST_WITH_PROGRAM_MIB: u32 = 512;
/// The smallest memory for Linux and nvmm.
const LEAST_MIB: u32 = 128;
/// The memory that each level has more than the next one: enough for Linux to enable transparent huge pages, which it does from 512 MiB on.
/// Without them, a nested guest causes a fault, through every level, for each 4 KiB.
const MORE_MIB: u32 = 448;

/// The kernel parameter with the level for /init.
pub const LEVEL_PARAMETER: &str = "nvmm.level=";

/// A level to start.
#[derive(Debug)]
pub struct Level<'a> {
    /// The number from 1 on; 0 is the host.
    pub number: u32,
    /// The manifest of `image`.
    pub manifest: &'a Manifest,
    /// nvmm's file on the current level.
    pub nvmm: &'a Path,
    /// The kernel.
    pub kernel: &'a Path,
    /// The initramfs.
    pub image: &'a Memfd,
    /// The archive of the user's files, for the last level.
    pub files: &'a Path,
    /// The disk on which a program will come to the last level.
    pub(super) parcel: Option<&'a Path>,
    /// The directory to save it in, once the last level waits for a program.
    pub(super) keep: Option<&'a Keep>,
}

impl Level<'_> {
    /// Runs it until it powers off, passes on its reports, and compares its disk with its report. `below` is the current level's flags, and
    /// `host` its KVM.
    ///
    /// A failure at that level or above is reported as [`Said::Fail`].
    ///
    /// # Errors
    ///
    /// Something fails at the current level.
    pub fn run(&self, host: &Host, below: Vec<String>, say: &mut dyn FnMut(&Line)) -> anyhow::Result<()> {
        let mut options = options(self.number, self.manifest);
        let mut config = VmConfig::new(&options)?;
        breakage::change(&mut config.cpu, self.number, self.manifest);
        let promise = match self.promise(host, &config, below) {
            Ok(promise) => promise,
            Err((kind, why)) => {
                say(&self.says(Said::Fail(kind, why)));
                return Ok(());
            }
        };
        let promise = serde_json::to_vec(&promise).context("writing the promise")?;
        image::append(self.image, PROMISE, &promise).context("adding to the initramfs")?;
        if self.manifest.program.is_some() && self.number == self.manifest.levels {
            image::append_archive(self.image, self.files).context("adding the program to the initramfs")?;
        }
        let disk = disk::make(self.number).context("making the disk")?;
        if self.manifest.explain {
            symbols::make_room(&disk, disk::END).context("making the disk")?;
        }
        let stats = Memfd::new(c"stats").context("making the file for statistics")?;
        options.kernel = Some(self.kernel.to_owned());
        options.initramfs = Some(self.image.path());
        options.stats = Some(stats.path());
        options.verbose = 1;
        // The user's own disks come after it.
        options.disk.insert(0, with_path(&disk));
        if let Some(parcel) = self.parcel {
            options.disk.push(parcel_disk(parcel, self.keep.is_some()));
        }
        if self.keep.is_some() {
            options.disk[0].push(format!(",id={}", keep::CHECKED));
        }
        let mut command = Command::new(self.nvmm);
        command.args(words(&options));
        if let Some(keep) = self.keep {
            command.arg("--snapshot-on-exit").arg(keep.snapshot());
        }

        say(&self.says(Said::Start));
        let mut child = Child::spawn(command).context("starting nvmm")?;
        let mut heard = Heard::default();
        let mut meter = self.manifest.explain.then(|| self.meter(&child));
        let mut clock = Clock::wall();
        let mut watch = Watch::new(self.number, self.manifest.levels, &self.manifest.pace, clock.now());
        let (id, mut saves) = (child.id(), false);
        let ended = supervise(&mut child, &mut clock, &mut watch, &mut |line| {
            if let Some(line) = heard.listen(self.number, line) {
                say(&line);
            }
            if let Some(meter) = &mut meter {
                meter.hear(line);
            }
            if self.keep.is_some() && line.said == Said::Ready && !saves {
                saves = end(id);
            }
        })?;
        if !ended {
            // It is killed here, not when this level ends.
            drop(child);
            say(&self.says(Said::Fail(FailureKind::TimedOut, watch.verdict().1)));
            return Ok(());
        }
        let status = child.wait().context("waiting for nvmm")?;
        if let Some(keep) = self.keep.filter(|_| !heard.failed && saves) {
            if status.success() {
                return keep.add_disk(&disk).context("copying the disk");
            }
            say(&self.says(Said::Fail(
                FailureKind::Vmm,
                format!("nvmm could not save it, and ended with {status}"),
            )));
            return Ok(());
        }
        if let Some(exits) = exits(&stats) {
            say(&Line { level: self.number - 1, said: Said::Exits(exits) });
        }
        for said in meter.map(|meter| meter.result(&Symbols::read(&disk, disk::END))).unwrap_or_default() {
            say(&Line { level: self.number - 1, said });
        }
        // The first failure is the cause, and has been reported.
        if !heard.failed {
            let verdict = heard.judge(status, disk::outside(&disk).context("reading the disk back")?);
            say(&self.says(verdict.map_or_else(|(kind, why)| Said::Fail(kind, why), |()| Said::Done)));
        }
        Ok(())
    }

    /// Makes a meter for the cost of the last level's exits at the current level.
    fn meter(&self, child: &Child) -> Meter {
        let is_svm = facts::virtualization() == Some(Virtualization::Svm);
        Meter::new(self.number - 1, self.manifest.levels, child.id(), is_svm)
    }

    /// The CPU that the level has to find.
    fn promise(&self, host: &Host, config: &VmConfig, below: Vec<String>) -> Result<Promise, Failure> {
        let profile = CpuProfile::resolve(&host.cpu, &config.cpu, &config.topology)
            .map_err(|error| (FailureKind::Vmm, format!("{:#}", anyhow::Error::new(error))))?;
        if self.number < self.manifest.levels && *profile.nesting() == Nesting::None {
            let why = match first(self.number, self.manifest).and_then(|first| first.cpu.as_ref()) {
                Some(cpu) => format!("no SVM/VMX in the CPU model: --cpu {cpu}"),
                None => format!("no SVM/VMX in what level {}'s KVM offers", self.number - 1),
            };
            return Err((FailureKind::NoNesting, why));
        }
        Ok(Promise::new(&profile, below))
    }

    fn says(&self, said: Said) -> Line {
        Line { level: self.number, said }
    }
}

/// The user's options for level 1, if this is level 1.
fn first(level: u32, manifest: &Manifest) -> Option<&First> {
    (level == 1).then_some(&manifest.first)
}

/// The machine of `level`, without its files.
///
/// # Errors
///
/// Options of level 1 are invalid.
pub fn config(level: u32, manifest: &Manifest) -> anyhow::Result<VmConfig> {
    Ok(VmConfig::new(&options(level, manifest))?)
}

/// The options of `level`, without its files. The disks are the user's.
fn options(level: u32, manifest: &Manifest) -> MachineArgs {
    let First { cpu, smp, memory, disks } = first(level, manifest).cloned().unwrap_or_default();
    let vcpus = if level == 1 { "2" } else { "1" };
    let defaults = MachineArgs::default();
    MachineArgs {
        cpu: cpu.unwrap_or(defaults.cpu),
        smp: Some(smp.unwrap_or_else(|| vcpus.to_owned())),
        memory: memory.unwrap_or_else(|| format!("{}M", memory_mib(level, manifest))),
        kernel: Some(image::KERNEL.into()),
        cmdline: Some(kernel_parameters(level, manifest)),
        on_reboot: OnReboot::Exit,
        disk: disks,
        ..defaults
    }
}

/// The command line that gives another nvmm these options, as far as they differ from the defaults.
///
/// A level's machine is planned with values, [`options`], but runs in a process of its own, so that the current level can end it whatever
/// it does, and measure its cost. A process needs a command line.
fn words(options: &MachineArgs) -> Vec<OsString> {
    let MachineArgs { kernel, initramfs, cmdline, cpu, smp, memory, disk, on_reboot, stats, verbose, .. } =
        options;
    let word = |name: &str, value: &OsStr| [OsStr::new(name), OsStr::new("="), value].into_iter().collect();
    let files = [("--kernel", kernel), ("--initramfs", initramfs), ("--stats", stats)];
    let files = files.into_iter().filter_map(|(name, path)| Some(word(name, path.as_ref()?.as_os_str())));
    let texts = [
        ("--cpu", Some(cpu)),
        ("--smp", smp.as_ref()),
        ("--memory", Some(memory)),
        ("--cmdline", cmdline.as_ref()),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some(word(name, text?.as_ref())));
    let disks = disk.iter().map(|disk| word("--disk", disk));
    let reboot = (*on_reboot == OnReboot::Exit).then(|| "--on-reboot=exit".into());
    let verbose = (0..*verbose).map(|_| "-v".into());
    files.chain(texts).chain(disks).chain(reboot).chain(verbose).collect()
}

fn with_path(disk: &Memfd) -> OsString {
    let mut option = OsString::from("path=");
    option.push(disk.path());
    option
}

/// The disk on which a program comes. No level below the last one reads it, or keeps any of it in memory. For a level that is saved, it has
/// a name.
fn parcel_disk(path: &Path, named: bool) -> OsString {
    let mut option = OsString::from("path=");
    option.push(path);
    option.push(format!(",format=raw,readonly=on,serial={}", parcel::SERIAL));
    option.push(if named { format!(",id={}", keep::PARCEL) } else { ",direct=on".to_owned() });
    option
}

/// Asks nvmm to end, which saves its machine. Returns false if it has ended by itself.
fn end(id: u32) -> bool {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok())
}

/// The number of exits, in total and by reason, and of entries of guests above, if KVM counted.
fn exits(stats: &Memfd) -> Option<BTreeMap<String, u64>> {
    let stats: Stats = serde_json::from_slice(&fs::read(stats.path()).ok()?).ok()?;
    let mut total = stats.vcpu_total();
    total.retain(|name, count| {
        *count > 0 && (name == "exits" || name == "nested_run" || name.ends_with("_exits"))
    });
    (!total.is_empty()).then_some(total)
}

/// Passes on the lines of a level's console until it ends or reports that it is off. Returns false if `watch` gives up.
pub(super) fn supervise(
    child: &mut Child,
    clock: &mut Clock,
    watch: &mut Watch,
    say: &mut dyn FnMut(&Line),
) -> anyhow::Result<bool> {
    let (level, last) = watch.levels();
    relay(child, level, last, &mut |line| {
        if let Some(line) = line {
            watch.see(line, clock.now());
            say(line);
        }
        if let Some(idle) = clock.idle() {
            say(&Line { level: watch.verdict().0, said: Said::Idle(idle) });
        }
        !watch.is_over(clock.now())
    })
}

/// The kernel command line of `level`.
pub fn kernel_parameters(level: u32, manifest: &Manifest) -> String {
    let mut parameters = format!("console=ttyS0 quiet panic=-1 {LEVEL_PARAMETER}{level}");
    let first = if level == 1 { manifest.first_cmdline.as_str() } else { "" };
    // A level that is saved for days must not look like one that hung.
    let kept = if manifest.keep { "nosoftlockup rcupdate.rcu_cpu_stall_suppress=1" } else { "" };
    for more in [first, kept, &manifest.cmdline, breakage::parameters(level, manifest)] {
        if !more.is_empty() {
            parameters.push(' ');
            parameters.push_str(more);
        }
    }
    parameters
}

/// Memory of `level`: what it needs. If the user gave level 1 its memory, what the levels don't need of it is for the user's program.
pub fn memory_mib(level: u32, manifest: &Manifest) -> u32 {
    let above = manifest.levels.saturating_sub(level);
    let Some(program) = &manifest.program else {
        return LAST_MIB.saturating_add(MORE_MIB.saturating_mul(above));
    };
    let more = MORE_MIB.saturating_add(below_mib(program));
    let last = LAST_WITH_PROGRAM_MIB.saturating_add(last_mib(program));
    let between = more.saturating_mul(level.saturating_sub(1));
    match (program.first_mib, level) {
        (first @ 1.., 2..) => first.saturating_sub(between).max(least_mib(program, above + 1)),
        _ => last.saturating_add(more.saturating_mul(above)),
    }
}

/// The smallest memory of level 1 with which the program's files fit into every level.
pub(super) fn least_mib(program: &Program, levels: u32) -> u32 {
    let above = LEAST_MIB.saturating_add(below_mib(program)).saturating_mul(levels.saturating_sub(1));
    LEAST_MIB.saturating_add(last_mib(program)).saturating_add(above)
}

/// The memory that the program's files need at the last level. They are there both packed and unpacked, which takes twice their size. They
/// are unpacked into a tmpfs, which is limited to half of the memory that the packed ones leave: that makes it three times. Linux,
/// "Documentation/filesystems/ramfs-rootfs-initramfs.rst", "What is rootfs?".
fn last_mib(program: &Program) -> u32 {
    program.files_mib.saturating_mul(3)
}

/// The memory that they need at each other level: as one file, in the next level's initramfs, and while that is made. The tmpfs is large
/// enough, since there is also the next level's memory.
fn below_mib(program: &Program) -> u32 {
    program.files_mib.saturating_mul(3)
}

/// The memory of an emulated level 0: enough for level 1, even if the user gives that more.
pub fn host_memory_mib(manifest: &Manifest) -> u32 {
    let first = config(1, manifest).map_or(0, |config| config.memory.size.0 >> 20);
    let files = manifest.program.as_ref().map_or(0, below_mib);
    let more = u32::try_from(first).unwrap_or(u32::MAX).saturating_add(MORE_MIB).saturating_add(files);
    memory_mib(0, manifest).max(more)
}

#[cfg(test)]
#[path = "level_test.rs"]
mod tests;
