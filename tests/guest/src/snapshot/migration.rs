//! Migrations of a level 1 with its KVM in different states: at some of the moments of the snapshots, it moves to another nvmm of the same
//! level 0, which compares all of its memory, and there waits for the line on its second serial port.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};
use vmm::nest::image::{self, Memfd};
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use super::machine::{Machine, serial_ports};
use super::{BEFORE_KVM, BETWEEN, KVM_ON, Moment, TWO_VCPUS};
use crate::level0::{Guest, NVMM};
use crate::scenario;

pub(crate) const NAME: &str = "a migration of L1 before KVM, with KVM on, and while an L2 runs";

/// The moments, in order.
const MOMENTS: [&Moment; 4] = [&BEFORE_KVM, &KVM_ON, &BETWEEN, &TWO_VCPUS];

/// The most moves at a moment until a vCPU is in a guest's guest.
const MOVES: usize = 30;

/// Level 0's directory for a snapshot of the machine that has arrived.
const ARRIVED: &str = "/arrived";

/// Level 0: moves level 1 at each moment.
pub(crate) fn run(pid1: &mut Pid1, image: &Memfd) -> anyhow::Result<()> {
    let manifest = &pid1.manifest.clone();
    let disk = scenario::empty_disk()?;
    // Each time, emulated processors send and compare all of its memory.
    let guest = Guest { scenario: scenario::MIGRATION, memory: "256M", ..Guest::default() };
    let machine = Machine::boot(&guest, &name(0), manifest, image, &disk)?;
    let mut moving = Moving { machine, moves: 0 };
    for moment in MOMENTS {
        moving.machine.until(manifest, |text| (text == moment.words).then_some(()))?;
        moving = moving.at(moment).with_context(|| format!("moving {:?}", moment.words))?;
        pid1.say(Said::Text(format!("moved {} times: {}", moving.moves, moment.words)));
        moving.machine.go_on(manifest)?;
    }
    moving.machine.end(manifest)?;
    super::went_on(&disk)
}

/// Level 1 while it is moved around.
struct Moving {
    machine: Machine,
    moves: usize,
}

impl Moving {
    /// Moves it at a moment. After the last move it continues at once.
    fn at(mut self, moment: &Moment) -> anyhow::Result<Self> {
        if moment.in_guest {
            self = self.until_in_guest()?;
        }
        self.moved(&[])
    }

    /// Moves it until it arrives with a vCPU in a guest of its own, which is checked before it continues.
    fn until_in_guest(mut self) -> anyhow::Result<Self> {
        for _ in 0..MOVES {
            self = self.moved(&["--paused"])?;
            let in_guest = self.machine.save_in_guest(ARRIVED)?;
            fs::remove_dir_all(ARRIVED).context("removing a snapshot")?;
            self.machine.ctl(&["cont"])?;
            if in_guest {
                return Ok(self);
            }
        }
        bail!("no vCPU was in a guest of level 1's after {MOVES} moves")
    }

    /// Moves it to an nvmm with more options.
    fn moved(self, options: &[&str]) -> anyhow::Result<Self> {
        let Self { machine, moves } = self;
        let moves = moves + 1;
        let name = name(moves);
        let socket = format!("/{name}.in");
        let place = format!("unix:{socket}");
        let mut command = Command::new(image::in_root(NVMM));
        command.args(["--incoming", &place]).args(serial_ports(&name)).args(options);
        let mut next = Machine::start(command, &name)?;
        next.makes(&socket)?;
        let answer = machine.ctl(&["migrate", &place, "verify=on"]);
        answer.map_err(|error| next.explain(error))?;
        machine.ended()?;
        Ok(Self { machine: next, moves })
    }
}

/// The name of the sockets after this many moves.
fn name(moves: usize) -> String {
    format!("moved{moves}")
}
