//! The balloon under Linux: level 1 frees memory that it has used, and level 0 sees nvmm shrink.

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use vmm::nest::image::Manifest;
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::level1::PATIENCE;
use crate::ports::{self, Ends};
use crate::scenario::Record;

/// Linux's driver, if it is a module; otherwise it is built into the kernel.
pub(crate) const MODULE: &str = "virtio_balloon";

/// Level 1's message that it has memory to free. It then waits on COM2.
pub(crate) const USED: &str = "lab: memory is in use";
/// Level 1's message that it has freed the memory. It then waits on COM2 until the host has it.
pub(crate) const FREED: &str = "lab: memory is free";

/// The memory in KiB that level 1 uses and frees.
const USES: usize = 128 << 10;
/// The memory in KiB that the host must get back. Linux reports blocks of 2 MiB, and keeps a few of them. By then it may have used some for
/// something else.
const RETURNS: usize = USES / 2;

/// Level 0's part.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// nvmm's size in KiB while the memory was in use.
    used: Option<usize>,
}

impl Watch {
    /// Handles [`USED`].
    pub(crate) fn used(&mut self, nvmm: u32, ends: &mut Ends) -> anyhow::Result<()> {
        let size = resident(nvmm)?;
        ensure!(size >= USES, "nvmm has {size} KiB, and its guest uses {USES}");
        self.used = Some(size);
        ends.say("free it")
    }

    /// Handles [`FREED`]: waits until the host has the memory.
    pub(crate) fn freed(&self, nvmm: u32, ends: &mut Ends) -> anyhow::Result<()> {
        let used = self.used.context("it did not say that it used any")?;
        let start = Instant::now();
        loop {
            let size = resident(nvmm)?;
            if size + RETURNS <= used {
                return ends.say("the host has it");
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "nvmm had {used} KiB when its guest used {USES}, and has {size} after that"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Level 0: checks level 1's facts about its balloon. Level 1 itself has waited until the host got the memory back.
pub(crate) fn judge(record: &Record) -> anyhow::Result<()> {
    ensure!(record.reports_free_pages, "no driver has accepted VIRTIO_BALLOON_F_REPORTING");
    Ok(())
}

/// Level 1: uses memory and frees it. Returns whether the balloon's driver reports free pages, by the features that it accepted.
pub(crate) fn use_and_free(pid1: &mut Pid1, second: &mut File) -> anyhow::Result<bool> {
    if pid1.manifest.files.contains(&Manifest::module(MODULE)) {
        pid1::load(&[MODULE.to_owned()])?;
    }
    let reports = reports()?;
    // One byte of each page, which are zeros before that.
    let mut memory = vec![0_u8; USES << 10];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    let memory = black_box(memory);
    pid1.say(Said::Text(USED.to_owned()));
    ports::hear(second).context("waiting to free memory")?;
    drop(memory);
    Ok(reports)
}

/// Level 1: waits until the host has the freed memory.
pub(crate) fn wait(pid1: &mut Pid1, second: &mut File) -> anyhow::Result<()> {
    pid1.say(Said::Text(FREED.to_owned()));
    ports::hear(second).context("waiting until the host has memory back")?;
    Ok(())
}

/// The bit of `VIRTIO_BALLOON_F_REPORTING`.
const REPORTING: usize = 5;

fn reports() -> anyhow::Result<bool> {
    let driver = Path::new("/sys/bus/virtio/drivers/virtio_balloon");
    for entry in fs::read_dir(driver).with_context(|| format!("reading {}", driver.display()))? {
        let features = entry?.path().join("features");
        if features.exists() {
            let features =
                fs::read_to_string(&features).with_context(|| format!("reading {}", features.display()))?;
            return Ok(features.as_bytes().get(REPORTING) == Some(&b'1'));
        }
    }
    Ok(false)
}

/// The resident memory of a process in KiB.
fn resident(process: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    size(&text).with_context(|| format!("no VmRSS in {path}"))
}

/// `VmRSS:     12345 kB`.
fn size(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[path = "balloon_test.rs"]
mod tests;
