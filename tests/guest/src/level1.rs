//! Level 1: what the scenarios do.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use vmm::nest::child::{Child, Output};
use vmm::nest::image;
use vmm::nest::pid1::{self, Pid1};

use crate::facts::Facts;
use crate::level0::NVMM;
use crate::reset::Reset;
use crate::scenario::{self, Record};

/// How level 1 resets itself, boot by boot.
pub(crate) const RESETS: [Reset; 5] =
    [Reset::Kernel, Reset::Acpi, Reset::Kernel, Reset::Acpi, Reset::Keyboard];

const SPIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/spin"));
const POWER_OFF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/power_off"));

/// What does not come in this time never will, even on a slow emulator.
const PATIENCE: Duration = Duration::from_secs(120);

/// Does what the kernel command line says.
pub(crate) fn run(pid1: &mut Pid1) -> anyhow::Result<()> {
    pid1::load(&pid1.manifest.virtio)?;
    pid1::load(&pid1.manifest.kvm)?;
    let disk = Path::new("/dev/vda");
    let mut record = Record::read(disk)?;
    record.boots += 1;
    if record.facts.is_none() {
        record.facts = Some(Facts::gather()?);
    }
    match pid1::parameter(scenario::PARAMETER)?.as_str() {
        scenario::LOOK => {}
        scenario::RESETS => match RESETS.get(record.resets) {
            Some(way) => return reset_while_level_2_runs(*way, &mut record, disk),
            None => {
                let status = level_2(POWER_OFF)?.wait().context("waiting for level 2")?;
                if !status.success() {
                    bail!("level 2 on boot {}: nvmm ended with {status}", record.boots);
                }
                record.ran_level_2 = true;
            }
        },
        other => bail!("there is no scenario {other}"),
    }
    record.write(disk)
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
    // The reset is the machine's, and takes it a moment.
    thread::sleep(PATIENCE);
    bail!("no reset by {way:?}")
}

/// Starts a tiny guest.
fn level_2(kernel: &[u8]) -> anyhow::Result<Child> {
    let path = Path::new("/level2");
    fs::write(path, kernel).context("writing level 2's kernel")?;
    let mut command = Command::new(image::in_root(NVMM));
    command.arg("--kernel").arg(path).args(["--memory", "16M"]);
    Child::spawn(command).context("starting nvmm")
}
