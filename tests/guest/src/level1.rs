//! Level 1: the actions of each scenario.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use arch::cpu::cpuid::Cpuid;
use rustix::thread::{CpuSet, sched_setaffinity};
use vmm::nest::child::{Child, Output};
use vmm::nest::console::relay;
use vmm::nest::facts::virtualization;
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::level::kernel_parameters;
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::check;
use crate::cpuid::Cpu;
use crate::debug;
use crate::devices;
use crate::facts::Facts;
use crate::hang;
use crate::legacy;
use crate::level0::NVMM;
use crate::level2;
use crate::reset::Reset;
use crate::scenario::{self, Record};
use crate::screen;
use crate::snapshot;
use crate::ssh;
use crate::system;
use crate::vhost;

/// The ways in which level 1 resets itself, one for each boot.
pub(crate) const RESETS: [Reset; 5] =
    [Reset::Kernel, Reset::Acpi, Reset::Kernel, Reset::Acpi, Reset::Keyboard];

const SPIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/spin"));
pub(crate) const POWER_OFF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/power_off"));

/// The longest time to wait for anything. An emulated machine's clock continues while its emulator waits for a processor: the host measures
/// the emulator's time, and this leaves room for a very busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);

/// Runs the scenario named on the kernel command line.
pub(crate) fn run(pid1: &mut Pid1) -> anyhow::Result<()> {
    let scenario = pid1::parameter(scenario::PARAMETER)?;
    match scenario.as_str() {
        scenario::LEGACY => legacy::load_virtio(&pid1.manifest)?,
        _ => pid1::load(&pid1.manifest.virtio)?,
    }
    match scenario.as_str() {
        scenario::SNAPSHOT | scenario::TINY_SNAPSHOT | scenario::MIGRATION => {
            return snapshot::level_1(pid1, &scenario);
        }
        scenario::SYSTEM => return system::start(),
        scenario::SSH => return ssh::level_1(pid1),
        _ => {}
    }
    let kvm = pid1::load_kvm(pid1.level, &pid1.manifest);
    let disk = Path::new("/dev/vda");
    let mut record = Record::read(disk)?;
    record.boots += 1;
    if record.facts.is_none() {
        let facts = Facts::gather();
        record.facts = Some(match &kvm {
            Err(refusal) => facts.with_context(|| format!("{refusal:#}"))?,
            Ok(()) => facts?,
        });
        if scenario != scenario::LOOK {
            record.cpuid = cpuid_of_each()?;
        }
    }
    match scenario.as_str() {
        scenario::LOOK => kvm?,
        scenario::RESETS => {
            kvm?;
            match RESETS.get(record.resets) {
                Some(way) => return reset_while_level_2_runs(*way, &mut record, disk),
                None => end_level_2(level_2(POWER_OFF)?, record.boots)?,
            }
            record.ran_level_2 = true;
            record.check = Some(check::run()?);
        }
        scenario::DEBUG => {
            kvm?;
            let virt = virtualization().context("the CPU has neither VMX nor SVM")?;
            debug::tiny(virt).context("debugging a level 2")?;
            record.debugged = true;
        }
        scenario::DEVICES => devices::use_them(pid1, &mut record)?,
        scenario::LEGACY => legacy::use_them(pid1, &mut record)?,
        scenario::SCREEN => screen::look(&pid1.manifest, &mut record)?,
        scenario::VHOST => vhost::use_them(pid1, &mut record, disk)?,
        scenario::NEST | scenario::NEST_LINUX => match kvm {
            Ok(()) => {
                record.parameters = kvm_parameters()?;
                if scenario == scenario::NEST {
                    end_level_2(level_2(POWER_OFF)?, record.boots)?;
                } else {
                    linux_level_2(&pid1.manifest)?;
                }
                record.ran_level_2 = true;
            }
            Err(refusal) => record.refusal = Some(format!("{refusal:#}")),
        },
        other => bail!("there is no scenario {other}"),
    }
    record.write(disk)?;
    match scenario.as_str() {
        scenario::DEVICES => hang::hang(pid1),
        scenario::SCREEN => screen::write(pid1),
        _ => Ok(()),
    }
}

pub(crate) fn end_level_2(mut level_2: Child, boot: usize) -> anyhow::Result<()> {
    let status = level_2.wait().context("waiting for level 2")?;
    ensure!(status.success(), "level 2 on boot {boot}: nvmm ended with {status}");
    Ok(())
}

/// Boots Linux, which must report that it is up, and power off.
fn linux_level_2(manifest: &Manifest) -> anyhow::Result<()> {
    let manifest = Manifest { files: vec![], virtio: vec![], kvm: vec![], ..manifest.clone() };
    boot_linux(&manifest, &last_image(&manifest)?, scenario::NEST_LINUX, &[], &mut |_| Ok(()))
}

/// The image of a level that starts no other Linux, with this level's files.
pub(crate) fn last_image(manifest: &Manifest) -> anyhow::Result<Memfd> {
    image::pack(manifest, |name| match name {
        image::KERNEL => Ok(vec![]),
        name => fs::read(image::in_root(name)).with_context(|| format!("reading /{name}")),
    })
}

/// Boots Linux with nvmm's `options` for `scenario`. It must report that it is up, and power off. All of its output is passed to `hear`.
pub(crate) fn boot_linux(
    manifest: &Manifest,
    image: &Memfd,
    scenario: &str,
    options: &[&str],
    hear: &mut dyn FnMut(&Said) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut command = Command::new(image::in_root(NVMM));
    command.arg("--kernel").arg(image::in_root(image::KERNEL));
    command.arg("--initramfs").arg(image.path()).args(["--memory", "256M"]).args(options);
    let parameters = kernel_parameters(2, manifest);
    command.args(["--cmdline", &format!("{parameters} {}{scenario}", scenario::PARAMETER)]);
    let mut child = Child::spawn(command).context("starting nvmm")?;
    let mut said = String::new();
    let mut heard = Ok(());
    let mut last = Instant::now();
    let ended = relay(&mut child, 2, manifest.levels, &mut |line| {
        if let Some(line) = line {
            match &line.said {
                Said::Text(text) => said = format!("{said}\n{text}"),
                other => said = format!("{said}\n{other:?}"),
            }
            heard = hear(&line.said);
            last = Instant::now();
        }
        heard.is_ok() && last.elapsed() < PATIENCE
    })?;
    heard.with_context(|| format!("with level 2:{said}"))?;
    ensure!(ended, "level 2 says nothing for {} s:{said}", PATIENCE.as_secs());
    let status = child.wait().context("waiting for level 2")?;
    ensure!(
        status.success() && said.lines().any(|line| line == level2::UP),
        "level 2 ended with {status}:{said}"
    );
    Ok(())
}

/// The leaves of each CPU, as read on that CPU.
fn cpuid_of_each() -> anyhow::Result<Vec<Cpuid>> {
    let cpus = thread::available_parallelism().context("counting CPUs")?.get();
    let leaves = (0..cpus).map(|cpu| {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set).with_context(|| format!("moving to CPU {cpu}"))?;
        Ok(Cpu::here().leaves)
    });
    leaves.collect()
}

/// The parameters of KVM's module for this machine.
fn kvm_parameters() -> anyhow::Result<BTreeMap<String, String>> {
    let virt = virtualization().context("the CPU has neither VMX nor SVM")?;
    let folder = format!("/sys/module/{}/parameters", virt.module());
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {folder}"))?;
    // Root can write some of them, but not read them.
    let parameters = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let value = fs::read_to_string(entry.path()).ok()?;
        Some((entry.file_name().into_string().ok()?, value.trim_end().to_owned()))
    });
    Ok(parameters.collect())
}

fn reset_while_level_2_runs(way: Reset, record: &mut Record, disk: &Path) -> anyhow::Result<()> {
    let mut level_2 = level_2(SPIN)?;
    match level_2.line(Some(Instant::now() + PATIENCE)).context("reading level 2's console")? {
        Output::Line(line) if line == b"spinning" => {}
        other => bail!("level 2 on boot {}: {other:?} where it should say that it spins", record.boots),
    }
    record.resets += 1;
    record.write(disk)?;
    way.now().with_context(|| format!("resetting by {way:?}"))?;
    // The machine takes a moment to reset.
    thread::sleep(PATIENCE);
    bail!("no reset by {way:?}")
}

/// Starts a tiny guest.
pub(crate) fn level_2(kernel: &[u8]) -> anyhow::Result<Child> {
    let path = Path::new("/level2");
    fs::write(path, kernel).context("writing level 2's kernel")?;
    let mut command = Command::new(image::in_root(NVMM));
    command.arg("--kernel").arg(path).args(["--memory", "16M"]);
    Child::spawn(command).context("starting nvmm")
}
