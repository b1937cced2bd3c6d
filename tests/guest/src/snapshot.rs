//! Snapshots of a level 1 whose KVM is in whatever state: it is saved and restored before KVM is loaded, in VMX or SVM operation without a VMCS or
//! VMCB in use, while its guests are halted, while one runs on two vCPUs, and while one is Linux that checks its disk and runs a level 3.
//!
//! Level 1 says which moment it is at, and waits for a line on its second serial port. Level 0 saves it there and ends it, restores it, and writes
//! that line.

mod clocks;
pub(crate) mod gif;
mod level1;
mod level2;
mod tiny;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use vmm::nest::child::{Child, Output};
use vmm::nest::console::relay;
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::level::kernel_parameters;
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use crate::level0::{Guest, NVMM};
use crate::scenario::{self, Record};

pub(crate) use level1::run as level_1;
pub(crate) use level2::run as level_2;

pub(crate) const NAME: &str = "a snapshot of L1 before KVM, with KVM on, and while L2 and L3 run";

/// A moment at which level 1 is saved.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    /// Level 1's words for it.
    words: &'static str,
    /// A vCPU of level 1 is in a guest of its own, or the machine is saved again.
    in_guest: bool,
    /// The time until it is restored, by level 0's clock, which is set for that.
    later: Duration,
    /// Level 1 watches its clocks on all CPUs, which then don't halt.
    watched: bool,
    /// The number of machines that come from its directory, one after the other.
    restores: usize,
}

impl Moment {
    const fn new(words: &'static str) -> Self {
        Self { words, in_guest: false, later: Duration::ZERO, watched: true, restores: 1 }
    }
}

const BEFORE_KVM: Moment = Moment::new("lab: before KVM is loaded");
const KVM_ON: Moment = Moment::new("lab: KVM is on, and nobody uses it");
const BETWEEN: Moment = Moment::new("lab: between two level 2");
/// The timer runs out meanwhile.
const HALTED: Moment = Moment {
    later: Duration::from_secs(600),
    watched: false,
    ..Moment::new("lab: two level 2 are halted, one with a timer")
};
const TWO_VCPUS: Moment =
    Moment { in_guest: true, restores: 10, ..Moment::new("lab: a level 2 runs on two vCPUs") };
const LINUX: Moment = Moment {
    in_guest: true,
    watched: false,
    ..Moment::new("lab: Linux is level 2, checks its disk, and runs a level 3")
};
/// The moments, in order.
const MOMENTS: [&Moment; 6] = [&BEFORE_KVM, &KVM_ON, &BETWEEN, &HALTED, &TWO_VCPUS, &LINUX];
/// Level 1 says it when the guest of a moment has gone on, and at the end.
const GOES_ON: &str = "lab: level 2 goes on";
const DONE: &str = "lab: it went on each time";
/// Level 1 says its time, in nanoseconds since 1970, as soon as it goes on.
const TIME: &str = "lab: it is ";

/// The most saves of a moment until a vCPU is in a guest's guest.
const SAVES: usize = 30;

/// `KVM_STATE_NESTED_GUEST_MODE`: the vCPU runs a guest of its own.
const GUEST_MODE: u16 = 1;

/// Time for nvmm to restore a machine, which takes it two seconds on a host that is not busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// The most that level 1's time may differ from level 0's.
const DIFFERENCE: Duration = Duration::from_secs(1);

/// Level 0's places.
const SOCKET: &str = "/snapshot.qmp";
const PORT: &str = "/snapshot.port";

/// Level 0: saves and restores level 1 at each moment.
pub(crate) fn run(pid1: &mut Pid1, image: &Memfd) -> anyhow::Result<()> {
    let mut forward = Duration::ZERO;
    let done = save_and_restore(pid1, image, &mut forward);
    clocks::set(SystemTime::now() - forward)?;
    done
}

fn save_and_restore(pid1: &mut Pid1, image: &Memfd, forward: &mut Duration) -> anyhow::Result<()> {
    let manifest = &pid1.manifest.clone();
    // For the clones' temporary overlays.
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    let disk = Memfd::new(c"disk").context("making the disk")?;
    let file = OpenOptions::new().write(true).open(disk.path());
    file.and_then(|disk| disk.set_len(scenario::DISK_LEN)).context("making the disk")?;
    let guest = Guest { scenario: scenario::SNAPSHOT, ..Guest::default() };
    let parameters =
        format!("{} {}{}", kernel_parameters(1, manifest), scenario::PARAMETER, scenario::SNAPSHOT);
    let mut command = guest.by_options(&parameters, image, &disk);
    command.args(["--serial", "stdio", "--serial", &format!("unix={PORT},server")]);
    let mut folder = String::new();
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let mut machine = Machine::start(command)?;
        if number > 0 {
            machine.go_on(manifest)?;
            // It has been read, and level 0 has little room.
            fs::remove_dir_all(&folder).context("removing the last snapshot")?;
        }
        machine.until(manifest, |text| (text == moment.words).then_some(()))?;
        folder = format!("/snapshot{number}");
        machine.save(&folder, moment).with_context(|| format!("saving {:?}", moment.words))?;
        pid1.say(Said::Text(format!("saved: {}", moment.words)));
        clocks::set(SystemTime::now() + moment.later)?;
        *forward += moment.later;
        for clone in 1..moment.restores {
            let mut command = restore(&folder);
            let way = if clone % 2 == 0 { "copy" } else { "map" };
            let place = format!("id=disk1,path={},format=raw,overlay=temp", disk.path().display());
            command.args(["--restore-memory", way, "--disk", &place]);
            let mut clone_of_it = Machine::start(command)?;
            let went_on = clone_of_it
                .go_on(manifest)
                .and_then(|()| clone_of_it.until(manifest, |text| (text == GOES_ON).then_some(())));
            went_on.with_context(|| format!("restore {clone} of {:?}", moment.words))?;
        }
        command = restore(&folder);
    }
    let mut machine = Machine::start(command)?;
    machine.go_on(manifest)?;
    machine.end(manifest)?;
    ensure!(Record::read(&disk.path())?.went_on, "level 1 left no word that it went on");
    Ok(())
}

fn restore(folder: &str) -> Command {
    let mut command = Command::new(image::in_root(NVMM));
    command.args(["--restore", folder]);
    command
}

/// A level 1 that runs. Dropping it is a kill -9.
struct Machine {
    nvmm: Child,
    said: String,
}

impl Machine {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        for socket in [SOCKET, PORT] {
            let _ = fs::remove_file(socket);
        }
        command.args(["--qmp", SOCKET]);
        Ok(Self { nvmm: Child::spawn(command).context("starting nvmm")?, said: String::new() })
    }

    /// Has it go on after a restore, with the time that it is by then.
    fn go_on(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let before = SystemTime::now();
        let told = connect(PORT, PATIENCE).and_then(|mut port| Ok(port.write_all(b"go\n")?));
        if let Err(error) = told {
            while let Output::Line(line) = self.nvmm.line(Some(Instant::now()))? {
                self.said = format!("{}\n{}", self.said, String::from_utf8_lossy(&line));
            }
            return Err(error.context(format!("nvmm does not go on:{}", self.said)));
        }
        let told = self.until(manifest, |text| text.strip_prefix(TIME).map(str::to_owned))?;
        let time = UNIX_EPOCH + Duration::from_nanos(told.parse().context("level 1's time")?);
        let after = SystemTime::now();
        ensure!(
            before - DIFFERENCE < time && time < after + DIFFERENCE,
            "level 1's time is {time:?}, and level 0's between {before:?} and {after:?}"
        );
        Ok(())
    }

    /// Waits until level 1 says something that is `found`.
    fn until<T>(
        &mut self,
        manifest: &Manifest,
        mut found: impl FnMut(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let said = &mut self.said;
        let mut failure = None;
        let mut what = None;
        relay(&mut self.nvmm, 1, manifest.levels, &mut |line| {
            match line.map(|line| &line.said) {
                Some(Said::Fail(_, why)) => failure = Some(why.clone()),
                Some(Said::Text(text)) => {
                    *said = format!("{said}\n{text}");
                    what = found(text);
                }
                _ => {}
            }
            what.is_none() && failure.is_none()
        })?;
        match failure {
            Some(failure) => bail!("{failure}{said}"),
            None => what.with_context(|| format!("level 1 has ended:{said}")),
        }
    }

    /// Saves it and ends it: by nvmm itself or, where one save may not be enough, by force.
    fn save(mut self, folder: &str, moment: &Moment) -> anyhow::Result<()> {
        if !moment.in_guest {
            snapshot(&[folder, "--stop"])?;
            let status = self.nvmm.wait().context("waiting for nvmm")?;
            ensure!(status.success(), "nvmm ended with {status}: {}", self.said);
            return Ok(());
        }
        for _ in 0..SAVES {
            snapshot(&[folder])?;
            if nested_flags(folder)?.iter().any(|flags| flags & GUEST_MODE != 0) {
                return Ok(());
            }
            fs::remove_dir_all(folder).context("removing a snapshot")?;
        }
        bail!("no vCPU was in a guest of level 1's at {SAVES} times")
    }

    /// Waits until it has done all, and has powered off.
    fn end(mut self, manifest: &Manifest) -> anyhow::Result<()> {
        self.until(manifest, |text| (text == DONE).then_some(()))?;
        relay(&mut self.nvmm, 1, manifest.levels, &mut |_| true)?;
        let status = self.nvmm.wait().context("waiting for nvmm")?;
        ensure!(status.success(), "nvmm ended with {status}: {}", self.said);
        Ok(())
    }
}

fn snapshot(words: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(image::in_root(NVMM));
    let output = command.args(["ctl", SOCKET, "snapshot"]).args(words).output();
    let output = output.context("starting nvmm ctl")?;
    ensure!(output.status.success(), "nvmm ctl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The flags that KVM keeps of each vCPU's nested state.
fn nested_flags(folder: &str) -> anyhow::Result<Vec<u16>> {
    let state = fs::read(Path::new(folder).join("state.json")).context("reading the state")?;
    let state: Value = serde_json::from_slice(&state).context("reading the state")?;
    let vcpus = state["kvm"]["vcpus"].as_array().context("the state has no vCPUs")?;
    let flags = vcpus.iter().map(|vcpu| {
        // In hexadecimal, by bytes.
        let bytes = vcpu["nested"].as_str().and_then(|bytes| bytes.get(..4));
        let flags = bytes.and_then(|bytes| u16::from_str_radix(bytes, 16).ok());
        flags.map(u16::swap_bytes).context("a vCPU has no nested state")
    });
    flags.collect()
}

/// Connects to a socket that is made meanwhile.
fn connect(path: &str, patience: Duration) -> anyhow::Result<UnixStream> {
    let start = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) if start.elapsed() > patience => return Err(error).context(path.to_owned()),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}
