//! Snapshots of a level 1 with its KVM in different states: it is saved and restored before KVM is loaded, in VMX or SVM operation without
//! a VMCS or VMCB in use, while its guests are halted, while one runs on two vCPUs, and while one is a Linux that checks its disk and runs
//! a level 3.
//!
//! Level 1 reports each moment, and waits for a line on its second serial port. Level 0 saves it there, ends it, restores it, and writes
//! that line.

mod clocks;
pub(crate) mod gif;
mod level1;
mod level2;
mod machine;
pub(crate) mod migration;
mod tiny;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use vmm::nest::image::{self, Memfd};
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use self::machine::Machine;
use crate::level0::{Guest, NVMM};
use crate::scenario::{self, Record};

pub(crate) use level1::run as level_1;
pub(crate) use level2::run as level_2;

pub(crate) const NAME: &str = "a snapshot of L1 before KVM, with KVM on, and while L2 and L3 run";
/// The name of the same without Linux as level 2: on the VMX host that takes too long for every run, and more memory than is left there
/// beside the files of other tests.
pub(crate) const TINY: &str = "a snapshot of L1 before KVM, with KVM on, and while tiny L2 run";

/// A moment at which level 1 is saved.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    /// Level 1's message for it.
    words: &'static str,
    /// A vCPU of level 1 must be in a guest of its own; otherwise the machine is saved again.
    in_guest: bool,
    /// The time until it is restored, by level 0's clock, which is set forward for that.
    later: Duration,
    /// Level 1 watches its clocks on all CPUs, which therefore don't halt.
    watched: bool,
    /// The number of successive restores from its directory.
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
/// The timer expires meanwhile.
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
/// The moments without Linux as level 2.
const TINY_MOMENTS: [&Moment; 5] = [&BEFORE_KVM, &KVM_ON, &BETWEEN, &HALTED, &TWO_VCPUS];
/// Level 1's messages: the guest of a moment has continued, and all moments have passed.
const GOES_ON: &str = "lab: level 2 goes on";
const DONE: &str = "lab: it went on each time";
/// Level 1's message with its time, in nanoseconds since 1970, sent as soon as it continues.
const TIME: &str = "lab: it is ";

/// The most saves at a moment until a vCPU is in a guest's guest.
const SAVES: usize = 30;

/// The most that level 1's time may differ from level 0's.
const DIFFERENCE: Duration = Duration::from_secs(1);

/// The name of level 0's sockets.
const SOCKETS: &str = "snapshot";

/// Level 0: saves and restores level 1 at each moment.
pub(crate) fn run(pid1: &mut Pid1, image: &Memfd) -> anyhow::Result<()> {
    run_scenario(pid1, image, scenario::SNAPSHOT, &MOMENTS)
}

/// Level 0: does so at the moments without Linux as level 2.
pub(crate) fn run_tiny(pid1: &mut Pid1, image: &Memfd) -> anyhow::Result<()> {
    run_scenario(pid1, image, scenario::TINY_SNAPSHOT, &TINY_MOMENTS)
}

fn run_scenario(
    pid1: &mut Pid1,
    image: &Memfd,
    scenario: &'static str,
    moments: &[&Moment],
) -> anyhow::Result<()> {
    let mut forward = Duration::ZERO;
    let guest = Guest { scenario, ..Guest::default() };
    let done = save_and_restore(pid1, image, &guest, moments, &mut forward);
    clocks::set(SystemTime::now() - forward)?;
    done
}

fn save_and_restore(
    pid1: &mut Pid1,
    image: &Memfd,
    guest: &Guest,
    moments: &[&Moment],
    forward: &mut Duration,
) -> anyhow::Result<()> {
    let manifest = &pid1.manifest.clone();
    // For the clones' temporary overlays.
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    let disk = scenario::empty_disk()?;
    let mut machine = Machine::boot(guest, SOCKETS, manifest, image, &disk)?;
    let mut folder = String::new();
    for (number, moment) in moments.iter().enumerate() {
        if number > 0 {
            machine.go_on(manifest)?;
            // It has been read, and level 0 has little space.
            fs::remove_dir_all(&folder).context("removing the last snapshot")?;
        }
        machine.until(manifest, |text| (text == moment.words).then_some(()))?;
        folder = format!("/snapshot{number}");
        save(machine, &folder, moment).with_context(|| format!("saving {:?}", moment.words))?;
        pid1.say(Said::Text(format!("saved: {}", moment.words)));
        clocks::set(SystemTime::now() + moment.later)?;
        *forward += moment.later;
        for clone in 1..moment.restores {
            let mut command = restore(&folder);
            let way = if clone % 2 == 0 { "copy" } else { "map" };
            let place = format!("id=disk1,path={},format=raw,overlay=temp", disk.path().display());
            command.args(["--restore-memory", way, "--disk", &place]);
            let started = Instant::now();
            let mut clone_of_it = Machine::start(command, SOCKETS)?;
            let went_on = clone_of_it
                .go_on(manifest)
                .and_then(|()| clone_of_it.until(manifest, |text| (text == GOES_ON).then_some(())));
            let took = started.elapsed();
            went_on.with_context(|| format!("restore {clone} of {:?}, after {took:?}", moment.words))?;
            pid1.say(Said::Text(format!("went on, restore {clone}: {}", moment.words)));
        }
        machine = Machine::start(restore(&folder), SOCKETS)?;
    }
    machine.go_on(manifest)?;
    machine.end(manifest)?;
    went_on(&disk)
}

fn restore(folder: &str) -> Command {
    let mut command = Command::new(image::in_root(NVMM));
    command.args(["--restore", folder]);
    command
}

/// Saves a machine and ends it: by nvmm itself or, if one save may not be enough, by killing it.
fn save(machine: Machine, folder: &str, moment: &Moment) -> anyhow::Result<()> {
    if !moment.in_guest {
        machine.ctl(&["snapshot", folder, "--stop"])?;
        return machine.ended();
    }
    for _ in 0..SAVES {
        if machine.save_in_guest(folder)? {
            return Ok(());
        }
        fs::remove_dir_all(folder).context("removing a snapshot")?;
    }
    bail!("no vCPU was in a guest of level 1's at {SAVES} times")
}

/// Checks that level 1 has recorded on its disk that it continued.
fn went_on(disk: &Memfd) -> anyhow::Result<()> {
    ensure!(Record::read(&disk.path())?.went_on, "level 1 left no word that it went on");
    Ok(())
}
