//! Nested boots by `nvmm nest` and scenarios by lab-guest, on both emulated hosts at the same time, and boots on this machine's KVM if that
//! can nest.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::boot_disks::{Images, LINUXBOOT, OVMF, SEABIOS, VGA_ROM};
use crate::build;
use crate::hangs::repeat_hangs;
use crate::host::{self, Host};
use crate::kernel::Kernel;
use crate::report::{Outcome, Report};
use crate::training::{self, Parts, Training};

/// The programs and files that the tests need.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) nvmm: PathBuf,
    pub(crate) guest: PathBuf,
    pub(crate) cloud: Kernel,
    pub(crate) generic: Kernel,
    /// An error if there is none: not every release has backports.
    pub(crate) backports: anyhow::Result<Kernel>,
    /// The disk with Debian's system, or an error: not every machine uses Debian's mirror.
    pub(crate) system: anyhow::Result<PathBuf>,
    /// The disks that start by firmware, or an error for the same reason.
    pub(crate) boot_disks: anyhow::Result<Images>,
    /// The CD-ROM with systems other than Linux, or an error for the same reason.
    pub(crate) systems: anyhow::Result<PathBuf>,
    /// The directory of ssh's programs.
    pub(crate) ssh: PathBuf,
}

/// The names in the report of the kernel of backports, Debian's system, its disks, other systems and the training lab, if they are missing.
const BACKPORTS: &str = "2 levels of Debian's backports kernel";
const SYSTEM: &str = "Debian's system in L1";
const BOOT_DISKS: &str = "Debian's disks in L1, by firmware";
const SYSTEMS: &str = "other systems than Linux in L1, by firmware";
const TRAINING: &str = "the training lab";
/// The name of OVMF's test if it can't run, and the reason.
const UEFI: &str = "L1 by OVMF, on an emulated SVM host";
const NO_UEFI: &str = "QEMU TCG aborts when L1 writes CR8 while an interrupt is pending, as OVMF does; it runs on an emulated VMX host";
/// The scenario that also runs with a second kernel, which has a driver for the screen.
const SCREEN: &str = "L1's Linux writes on the screen";

/// An intentional fault on an emulated SVM host, and the expected report of `nvmm nest`.
#[derive(Debug)]
struct Broken {
    what: &'static str,
    options: &'static [&'static str],
    status: i32,
    says: &'static str,
}

const BROKEN: [Broken; 5] = [
    Broken {
        what: "an initramfs without KVM's module",
        options: &["--modules", "none"],
        status: 10,
        says: "level 0: KVM did not load",
    },
    Broken {
        what: "a CPU model that can't nest",
        options: &["--cpu", "qemu64"],
        status: 11,
        says: "level 1: no nesting: no SVM/VMX in the CPU model",
    },
    Broken {
        what: "a kernel that panics",
        options: &["--cmdline", "nvmm.test=panic@1"],
        status: 11,
        says: "level 1: the kernel did not start",
    },
    Broken {
        what: "a CPU other than promised",
        options: &["--cmdline", "nvmm.test=cpu@1"],
        status: 11,
        says: "level 1: the CPU differs: CPUID.01H:ECX",
    },
    Broken {
        what: "a level that hangs",
        options: &["--cmdline", "nvmm.test=hang@1", "--timeout", "25"],
        status: 11,
        says: "level 1: timed out",
    },
];

impl Broken {
    fn run(&self, lab: &Lab) -> Outcome {
        match nest(&lab.nvmm, &lab.cloud, Host::Svm, 2).args(self.options).output() {
            Ok(output) => self.judge(output.status.code(), &everything(&output)),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn judge(&self, status: Option<i32>, said: &str) -> Outcome {
        if status == Some(self.status) && said.contains(self.says) {
            Outcome::Passed
        } else {
            Outcome::Failed(format!("not {} and {:?}, but {status:?}:\n{said}", self.status, self.says))
        }
    }
}

/// Runs all tests, with the images of the training lab, if there are any.
pub(crate) fn run(lab: &Lab, training: &anyhow::Result<Training>, report: &mut Report) {
    let report = Mutex::new(report);
    let show = |name: &str, took, outcome| {
        report.lock().unwrap_or_else(PoisonError::into_inner).show(name, took, outcome);
    };
    let boot = |host, kernel, levels| {
        let start = Instant::now();
        let (name, outcome) = boot(lab, host, kernel, levels);
        show(&name, start.elapsed(), outcome);
    };
    let scenarios = |scenarios: Scenarios<'_>| {
        for (name, took, outcome) in scenarios.run(lab) {
            show(&name, took, outcome);
        }
    };
    let broken = |broken: &Broken| {
        let start = Instant::now();
        let outcome = broken.run(lab);
        show(&format!("{} is told as that", broken.what), start.elapsed(), outcome);
    };
    let stall = || {
        let start = Instant::now();
        let outcome = misjudged(&lab.nvmm, &lab.cloud);
        show("level 1 on an emulated SVM host that misjudges its TSC", start.elapsed(), outcome);
    };
    let parts = Parts::new(training::SUITE);
    let train = || {
        if let Ok(training) = training {
            training.run(&parts, show);
        }
    };
    boot(Host::Kvm, &lab.cloud, 2);
    if let Err(error) = training {
        show(TRAINING, Duration::ZERO, Outcome::Skipped(format!("{error:#}")));
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            boot(Host::Svm, &lab.cloud, 2);
            boot(Host::Svm, &lab.cloud, 3);
            boot(Host::Svm, &lab.generic, 2);
            match &lab.backports {
                Ok(kernel) => boot(Host::Svm, kernel, 2),
                Err(error) => show(BACKPORTS, Duration::ZERO, Outcome::Skipped(format!("{error:#}"))),
            }
            stall();
            BROKEN.iter().for_each(broken);
            let [system, disks] = [lab.system.as_ref().err(), lab.boot_disks.as_ref().err()];
            let systems = lab.systems.as_ref().err();
            for (name, error) in [(SYSTEM, system), (BOOT_DISKS, disks), (SYSTEMS, systems)] {
                if let Some(error) = error {
                    show(name, Duration::ZERO, Outcome::Skipped(format!("{error:#}")));
                }
            }
            show(UEFI, Duration::ZERO, Outcome::Skipped(NO_UEFI.to_owned()));
            scenarios(Scenarios::all(Host::Svm, &lab.cloud));
            scenarios(Scenarios { only: Some(SCREEN), ..Scenarios::all(Host::Svm, &lab.generic) });
            train();
        });
        scope.spawn(|| {
            boot(Host::Vmx, &lab.cloud, 2);
            scenarios(Scenarios::all(Host::Vmx, &lab.cloud));
            train();
        });
    });
}

/// Runs the scenarios of one host that have `words` in their names, and shows their consoles.
pub(crate) fn run_only(lab: &Lab, host: Host, words: &str, report: &mut Report) {
    let scenarios = Scenarios { only: Some(words), console: true, ..Scenarios::all(host, &lab.cloud) };
    for (name, took, outcome) in scenarios.run(lab) {
        report.show(&name, took, outcome);
    }
}

/// The command for `nvmm nest`.
pub(crate) fn nest(nvmm: &Path, kernel: &Kernel, host: Host, levels: u32) -> Command {
    let mut command = Command::new(nvmm);
    command.args(["nest", "--levels", &levels.to_string(), "--kernel"]).arg(&kernel.path);
    if let Some(virt) = host.emulated() {
        command.args(["--emulated", virt]);
    }
    command.stdin(Stdio::null());
    command
}

fn boot(lab: &Lab, host: Host, kernel: &Kernel, levels: u32) -> (String, Outcome) {
    let name = format!("{levels} levels of Debian's {} kernel on {host}", kernel.name);
    if let (Host::Kvm, Some(reason)) = (host, host::cannot_nest()) {
        return (name, Outcome::Skipped(reason.to_owned()));
    }
    let mut command = nest(&lab.nvmm, kernel, host, levels);
    let output = command.args(["--explain", "--json", "-"]).output();
    let outcome = match outcome(&output) {
        Outcome::Passed => explained(&output.map(|output| output.stdout).unwrap_or_default(), levels),
        outcome => outcome,
    };
    (name, outcome)
}

/// Passes if each level below the last one has reported the cost of the last one's exits.
fn explained(json: &[u8], levels: u32) -> Outcome {
    let record: Value = serde_json::from_slice(json).unwrap_or_default();
    let counting = record["levels"].as_array().into_iter().flatten();
    let counting: Vec<_> = counting.zip(0..levels).collect();
    if counting.len() != levels as usize {
        return Outcome::Failed("the JSON lacks levels".to_owned());
    }
    for (record, level) in counting {
        let costs = &record["costs"];
        for (place, work) in ["cpuid", "ports"].iter().enumerate() {
            let cost = &costs[place];
            let number = |key: &str| cost[key].as_f64().unwrap_or_default();
            // At least the exit itself, and with a hypervisor in between, also that hypervisor's entry of its guest.
            let least = if level + 1 == levels { 1.0 } else { 2.0 };
            if cost["work"] != *work || number("measured") < 100.0 || number("exits") < least {
                return Outcome::Failed(format!("level {level} explains {work} by {costs:#}"));
            }
        }
    }
    Outcome::Passed
}

/// Passes if the exit status is 0.
fn outcome(output: &io::Result<Output>) -> Outcome {
    match output {
        Ok(output) if output.status.success() => Outcome::Passed,
        Ok(output) => Outcome::Failed(everything(output)),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Boots level 1 on a host whose KVM assumes a wrong TSC rate. Unless nvmm sets the rate, level 1 stalls for seconds or for ever.
///
/// A few runs in a hundred hang with the right rate too, by QEMU's fault (`hangs.rs`), and are repeated. Without `kvm-pv-eoi` this is rarer,
/// because the EOI of each interrupt is an exit.
fn misjudged(nvmm: &Path, kernel: &Kernel) -> Outcome {
    let once = || {
        let mut command = nest(nvmm, kernel, Host::Svm, 1);
        command.args(["--cpu", "host-passthrough,-kvm-pv-eoi", "--console", "--timeout", STALLED]);
        // Level 0's kernel shows its warnings.
        command.args(["--cmdline", "nvmm.test=tsc@0 loglevel=5"]);
        let output = command.output();
        let rated = output.as_ref().map_or(Outcome::Passed, |output| rated(&everything(output)));
        if rated == Outcome::Passed { outcome(&output) } else { rated }
    };
    let hangs =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed(said) if said.contains("level 1: timed out"));
    repeat_hangs(once, hangs)
}

/// The time limit for a step of level 1, in seconds. All of level 1 takes about five.
const STALLED: &str = "60";
/// KVM's warning when a vCPU is created with a TSC rate that the host can't give it (Linux, "arch/x86/kvm/x86.c", `set_tsc_khz`).
const WRONG_RATE: &str = "user requested TSC rate below hardware speed";

/// Passes if level 0's KVM warned of the vCPU of `nvmm check`, which keeps KVM's own rate, and of no vCPU created later.
fn rated(said: &str) -> Outcome {
    let why = match said.split_once("level 1: starting") {
        Some((check, _)) if !check.contains(WRONG_RATE) => "this KVM has the right rate",
        Some((_, levels)) if levels.contains(WRONG_RATE) => "a level has KVM's wrong rate",
        Some(_) => return Outcome::Passed,
        None => "level 1 did not start",
    };
    Outcome::Failed(format!("{why}:\n{said}"))
}

/// Runs that `times` in a row, and returns the number of failures.
pub(crate) fn repeat(nvmm: &Path, kernel: &Kernel, times: u32) -> usize {
    let mut report = Report::new();
    for time in 1..=times {
        let start = Instant::now();
        let outcome = misjudged(nvmm, kernel);
        report.show(&format!("level 1, {time} of {times}"), start.elapsed(), outcome);
    }
    print!("{report}");
    report.failed()
}

/// lab-guest's scenarios on one host.
struct Scenarios<'a> {
    host: Host,
    kernel: &'a Kernel,
    /// Words in the names of those to run; none for all.
    only: Option<&'a str>,
    /// Show the consoles.
    console: bool,
}

impl<'a> Scenarios<'a> {
    fn all(host: Host, kernel: &'a Kernel) -> Self {
        Self { host, kernel, only: None, console: false }
    }

    fn run(&self, lab: &Lab) -> Vec<(String, Duration, Outcome)> {
        let start = Instant::now();
        let host = self.host;
        let failed =
            |output| vec![(format!("scenarios on {host}"), start.elapsed(), Outcome::Failed(output))];
        match self.command(lab).output() {
            Ok(output) if output.status.success() => {
                let outcomes = String::from_utf8_lossy(&output.stdout);
                outcomes
                    .lines()
                    .filter_map(scenario)
                    .map(|(name, took, outcome)| (self.name(lab, &name), took, outcome))
                    .collect()
            }
            Ok(output) => failed(everything(&output)),
            Err(error) => failed(error.to_string()),
        }
    }

    /// The name of a scenario in the report.
    fn name(&self, lab: &Lab, name: &str) -> String {
        let Self { host, kernel, .. } = self;
        if kernel.name == lab.cloud.name {
            return format!("{name}, on {host}");
        }
        format!("{name}, by Debian's {} kernel on {host}", kernel.name)
    }

    fn command(&self, lab: &Lab) -> Command {
        let host = self.host;
        let mut command = Command::new(&lab.guest);
        command.stdin(Stdio::null()).args(host.emulated().map(|virt| format!("--emulated={virt}")));
        command.arg("--kernel").arg(&self.kernel.path).arg("--nvmm").arg(&lab.nvmm);
        if let (Host::Svm, Ok(system)) = (host, &lab.system) {
            command.arg("--system").arg(system);
        }
        if host == Host::Vmx {
            command.arg("--ssh").arg(&lab.ssh);
        }
        match (host, &lab.boot_disks) {
            (Host::Svm, Ok(images)) => {
                command.arg("--boot-disks").arg(&images.file_system);
            }
            (Host::Vmx, Ok(images)) => {
                let [code, variables] = OVMF;
                command.arg("--uefi-disk").arg(&images.gpt);
                command.args(["--uefi-code", code, "--uefi-variables", variables]);
            }
            _ => {}
        }
        if let (Host::Svm, Ok(cd)) = (host, &lab.systems) {
            command.arg("--systems").arg(cd);
        }
        if host == Host::Svm {
            command.args(["--firmware", SEABIOS, "--loader", LINUXBOOT]);
            if lab.boot_disks.is_ok() {
                command.args(["--vga-rom", VGA_ROM]);
            }
        }
        command.args(self.only.iter().flat_map(|words| ["--only", words]));
        if self.console {
            command.arg("--console").arg("--pictures").arg(build::lab_dir().join("pictures"));
            command.stderr(Stdio::inherit());
        }
        command
    }
}

/// Parses a line of lab-guest's output: the test's name, the seconds since the start, and the failure or null.
fn scenario(line: &str) -> Option<(String, Duration, Outcome)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let outcome = match &line["failure"] {
        Value::String(failure) => Outcome::Failed(failure.clone()),
        _ => Outcome::Passed,
    };
    let took = Duration::try_from_secs_f64(line["seconds"].as_f64()?).ok()?;
    Some((line["name"].as_str()?.to_owned(), took, outcome))
}

fn everything(output: &Output) -> String {
    [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[cfg(test)]
#[path = "nested_test.rs"]
mod tests;
