//! Level 0: starts level 1 for each scenario, and checks its record.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use arch::cpu::nesting::Virtualization;
use vmm::host::Host;
use vmm::nest::child::Child;
use vmm::nest::console::relay;
use vmm::nest::facts::virtualization;
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::level::kernel_parameters;
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::balloon;
use crate::boot;
use crate::check;
use crate::command_line;
use crate::debug;
use crate::devices;
use crate::disks;
use crate::domain;
use crate::facts::Facts;
use crate::judge;
use crate::kept;
use crate::legacy;
use crate::models;
use crate::outcome::{self, Outcome};
use crate::passed;
use crate::ports;
use crate::programs::{self, Hanging};
use crate::scenario::{self, Record};
use crate::screen;
use crate::snapshot;
use crate::sockets;
use crate::ssh;
use crate::system;
use crate::systems;
use crate::tiny;
use crate::topology;
use crate::uefi;
use crate::vhost;
use crate::wanted::{self, Wanted};

/// nvmm's path in the image.
pub(crate) const NVMM: &str = "nvmm";
/// The ELF kernel's path in level 0's image.
pub(crate) const VMLINUX: &str = "vmlinux";

/// Files of level 0's image that level 1 doesn't need.
const OWN: [&str; 8] = [
    wanted::FILE,
    VMLINUX,
    boot::FIRMWARE,
    passed::LOADER,
    command_line::VGA_ROM,
    uefi::DISK,
    uefi::CODE,
    uefi::TEMPLATE,
];

/// The number of lines of level 1's console to show with a failure.
const TAIL: usize = 10;

/// Runs the tests that the host wants.
pub(crate) fn run(pid1: &mut Pid1) -> anyhow::Result<()> {
    pid1::load_kvm(pid1.level, &pid1.manifest)?;
    // A guest may have more memory than this machine, as long as it doesn't use all of it.
    fs::write("/proc/sys/vm/overcommit_memory", "1").context("allowing overcommitted memory")?;
    let virt = virtualization().context("the CPU has neither VMX nor SVM")?;
    let wanted = Wanted::read()?;
    tiny::run(virt, &wanted, |name, result| say(pid1, name, result));
    if wanted.has(outcome::DEBUG_TINY) {
        say(pid1, outcome::DEBUG_TINY, debug::tiny(virt));
    }
    if wanted.has(outcome::CHECK_HOST) {
        say(pid1, outcome::CHECK_HOST, check::run().and_then(|check| check::judge(virt, &check)));
    }
    let image = pack(&pid1.manifest, false)?;
    if wanted.any(&outcome::FIRST) {
        first(pid1, virt, &image)?;
    }
    if wanted.any(&outcome::DEVICES) {
        match devices::run(&pid1.manifest, &image) {
            Ok((record, looked)) => {
                say(pid1, outcome::PORTS, ports::judge(&record.ports));
                say(pid1, outcome::SOCKETS, sockets::judge(&record));
                say(pid1, outcome::BALLOON, balloon::judge(&record));
                say(pid1, outcome::DISKS, disks::judge(&record.disks));
                say(pid1, outcome::HUNG, looked);
            }
            // The tests that depend on it have no outcome then.
            Err(error) => say(pid1, outcome::DISKS, Err(error)),
        }
    }
    if wanted.has(domain::name(virt)) {
        say(pid1, domain::name(virt), domain::run(virt, &pid1.manifest, &image));
    }
    if wanted.has(outcome::LEGACY) {
        say(pid1, outcome::LEGACY, legacy::run(&pid1.manifest, &image));
    }
    if wanted.has(outcome::VHOST) {
        say(pid1, outcome::VHOST, vhost::run(&pid1.manifest, &image));
    }
    if wanted.has(snapshot::NAME) {
        // Its level 2 is Linux.
        let done = pack(&pid1.manifest, true).and_then(|image| snapshot::run(pid1, &image));
        say(pid1, snapshot::NAME, done);
    }
    if wanted.has(snapshot::TINY) {
        let done = snapshot::run_tiny(pid1, &image);
        say(pid1, snapshot::TINY, done);
    }
    if wanted.has(snapshot::migration::NAME) {
        let done = snapshot::migration::run(pid1, &image);
        say(pid1, snapshot::migration::NAME, done);
    }
    if wanted.has(kept::NAME) {
        let done = kept::run(pid1);
        say(pid1, kept::NAME, done);
    }
    if wanted.has(snapshot::gif::NAME) {
        say(pid1, snapshot::gif::NAME, snapshot::gif::run());
    }
    if wanted.has(screen::NAME) {
        let done = screen::run(pid1, &image);
        say(pid1, screen::NAME, done);
    }
    if wanted.has(passed::NAME) {
        say(pid1, passed::NAME, passed::by_seabios(&pid1.manifest, &image));
    }
    // It hangs while others run.
    let hanging = wanted.has(outcome::HANGS).then(Hanging::start);
    if wanted.has(outcome::PROGRAMS) {
        say(pid1, outcome::PROGRAMS, programs::run());
    }
    if wanted.any(&[outcome::DEBUG_LINUX, outcome::DEBUG_LEVEL_2]) {
        let debugged = debug::linux(virt, &pid1.manifest, &image);
        let level_2 = debugged.as_ref().is_ok_and(|debugged| *debugged);
        say(pid1, outcome::DEBUG_LINUX, debugged.map(drop));
        say(pid1, outcome::DEBUG_LEVEL_2, if level_2 { Ok(()) } else { Err(anyhow!("it was not")) });
    }
    for asked in topology::asked(virt)?.into_iter().filter(|asked| wanted.has(asked.name)) {
        let found = Guest { cpu: asked.cpu, smp: asked.smp, ..Guest::default() }.run(&pid1.manifest, &image);
        say(pid1, asked.name, found.and_then(|(_, facts)| topology::judge(virt, asked.counts, &facts.cpus)));
    }
    if wanted.any(&outcome::BY_PVH) {
        let large = Guest { kernel: VMLINUX, memory: "5G", ..Guest::default() };
        match large.run(&pid1.manifest, &image) {
            Ok((_, facts)) => {
                say(pid1, outcome::PVH, judge::pvh(&facts));
                say(pid1, outcome::HIGH_MEMORY, judge::high_memory(&facts));
            }
            Err(error) => say(pid1, outcome::PVH, Err(error)),
        }
    }
    models::run(virt, &pid1.manifest.clone(), &wanted, |name, result| say(pid1, name, result));
    if let Some(hanging) = hanging {
        say(pid1, outcome::HANGS, hanging.and_then(Hanging::judge));
    }
    uefi::run(pid1, &wanted, &image);
    if wanted.has(ssh::NAME) {
        say(pid1, ssh::NAME, ssh::level_0(&pid1.manifest));
    }
    pid1::load(&pid1.manifest.virtio)?;
    if wanted.has(outcome::SYSTEM) {
        let done = disk_of(system::DISK).and_then(|disk| system::run(&pid1.manifest, &image, &disk));
        say(pid1, outcome::SYSTEM, done);
    }
    if wanted.has(systems::NAME) {
        let done = disk_of(systems::DISK).and_then(|disk| systems::run(pid1, &disk));
        say(pid1, systems::NAME, done);
    }
    boot::run(pid1, &wanted);
    Ok(())
}

/// Runs the level 1 that most tests check.
fn first(pid1: &mut Pid1, virt: Virtualization, image: &Memfd) -> anyhow::Result<()> {
    let kvm = Host::open(Path::new("/dev/kvm"))?;
    let host = Facts::gather()?;
    // Enough memory for transparent huge pages.
    let first = Guest { scenario: scenario::RESETS, ..Guest::default() };
    match first.run(&pid1.manifest, image) {
        Ok((record, facts)) => {
            say(pid1, outcome::FLAGS, judge::flags(virt, &host, &facts));
            match virt {
                Virtualization::Vmx => say(pid1, outcome::VMX_MSRS, judge::vmx_msrs(&kvm, &facts)),
                Virtualization::Svm => say(pid1, outcome::SVM_LEAF, judge::svm_leaf(&kvm, &host, &facts)),
            }
            say(pid1, outcome::SMP, topology::judge(virt, topology::TWO_CORES, &facts.cpus));
            say(pid1, outcome::CPUID, models::as_shown(&first, &record, &facts));
            say(pid1, outcome::SMBIOS, judge::smbios(&facts));
            say(pid1, outcome::RESETS, judge::resets(&record));
            say(pid1, outcome::CHECK_GUEST, check::judge_guest(virt, record.check.as_ref()));
        }
        // The tests that depend on it have no outcome then.
        Err(error) => say(pid1, outcome::RESETS, Err(error)),
    }
    Ok(())
}

/// The disk with this serial number, which the host provides for a test.
pub(crate) fn disk_of(serial: &str) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir("/sys/block").context("reading /sys/block")? {
        let name = entry?.file_name();
        let told = fs::read_to_string(Path::new("/sys/block").join(&name).join("serial"));
        if told.is_ok_and(|told| told.trim_end() == serial) {
            return Ok(Path::new("/dev").join(name));
        }
    }
    bail!("no disk has the serial number {serial}")
}

/// Reports the outcome of a test to the host.
pub(crate) fn say(pid1: &mut Pid1, name: &str, result: anyhow::Result<()>) {
    pid1.say(Said::Text(Outcome::new(name, result).to_line()));
}

/// Level 1's image, with the kernel if level 1 starts a Linux.
pub(crate) fn pack(manifest: &Manifest, with_kernel: bool) -> anyhow::Result<Memfd> {
    let files = manifest
        .files
        .iter()
        .filter(|file| !OWN.contains(&file.as_str()) && !ssh::is_program(file))
        .cloned()
        .collect();
    let manifest = Manifest { files, ..manifest.clone() };
    image::pack(&manifest, |name| match name {
        image::KERNEL if !with_kernel => Ok(vec![]),
        name => fs::read(image::in_root(name)).with_context(|| format!("reading /{name}")),
    })
}

/// A level 1 for a scenario.
pub(crate) struct Guest {
    /// The CPU of a libvirt domain, which then describes the machine instead of the first four fields.
    pub(crate) domain: Option<&'static str>,
    pub(crate) kernel: &'static str,
    pub(crate) memory: &'static str,
    pub(crate) cpu: &'static str,
    pub(crate) smp: &'static str,
    pub(crate) scenario: &'static str,
    /// Additional kernel parameters.
    pub(crate) parameters: &'static str,
    /// The options of its other disks.
    pub(crate) disks: Vec<String>,
    /// Additional options of nvmm.
    pub(crate) options: Vec<&'static str>,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            domain: None,
            kernel: image::KERNEL,
            memory: "768M",
            cpu: "host-passthrough",
            smp: "2",
            scenario: scenario::LOOK,
            parameters: "",
            disks: Vec::new(),
            options: Vec::new(),
        }
    }
}

impl Guest {
    /// Runs it until it powers off, and returns its record.
    pub(crate) fn run(&self, manifest: &Manifest, image: &Memfd) -> anyhow::Result<(Record, Facts)> {
        let record = self.record(manifest, image, &mut |_, _| Ok(()))?;
        let facts = record.facts.clone().context("it left no facts on its disk")?;
        Ok((record, facts))
    }

    /// nvmm with its own options.
    pub(crate) fn by_options(&self, parameters: &str, image: &Memfd, disk: &Memfd) -> Command {
        let mut command = Command::new(image::in_root(NVMM));
        command.arg("--kernel").arg(image::in_root(self.kernel));
        command.arg("--initramfs").arg(image.path()).args(["--cmdline", parameters]);
        command
            .args(["--cpu", self.cpu, "--memory", self.memory, "--smp", self.smp])
            .args(["--uuid", scenario::UUID, "--smbios", &format!("type=1,serial={}", scenario::SERIAL)])
            .arg("--disk")
            .arg(disk.path());
        command
    }

    /// Runs it until it powers off, and calls `hear` for each line of text, with the process ID of its nvmm. The machine is killed if that
    /// fails.
    pub(crate) fn record(
        &self,
        manifest: &Manifest,
        image: &Memfd,
        hear: &mut dyn FnMut(&str, u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<Record> {
        let disk = scenario::empty_disk()?;
        let (first, more) = (kernel_parameters(1, manifest), self.parameters);
        let parameters = format!("{first} {}{} {more}", scenario::PARAMETER, self.scenario);
        let mut command = match self.domain {
            Some(cpu) => domain::of(
                cpu,
                &parameters,
                &image.path().display().to_string(),
                &disk.path().display().to_string(),
            )?,
            None => self.by_options(&parameters, image, &disk),
        };
        for disk in &self.disks {
            command.args(["--disk", disk]);
        }
        command.args(&self.options);
        let mut child = Child::spawn(command).context("starting nvmm")?;
        let nvmm = child.id();

        let mut failure = None;
        let mut tail = VecDeque::new();
        let ended = relay(&mut child, 1, manifest.levels, &mut |line| {
            match line.map(|line| &line.said) {
                Some(Said::Fail(_, why)) => failure = Some(why.clone()),
                Some(Said::Text(text)) => {
                    let heard = hear(text, nvmm);
                    tail.push_back(format!("\n{text}"));
                    tail.drain(..tail.len().saturating_sub(TAIL));
                    if let Err(error) = heard {
                        failure.get_or_insert(format!("{error:#}"));
                        return false;
                    }
                }
                _ => {}
            }
            // The host limits the time.
            true
        })?;
        if ended {
            let status = child.wait().context("waiting for nvmm")?;
            if !status.success() {
                failure.get_or_insert(format!("nvmm ended with {status}"));
            }
        }
        if let Some(failure) = failure {
            bail!("{failure}{}", tail.into_iter().collect::<String>());
        }
        Record::read(&disk.path())
    }
}
