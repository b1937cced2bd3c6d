//! Level 2 as Linux in a level 1 that is saved, which it must not notice.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::thread;

use anyhow::Context;
use vmm::nest::disk;
use vmm::nest::pid1::{self, Pid1};

use super::clocks::Clocks;
use super::tiny::Tiny;
use crate::kernel_log::KernelLog;

/// Repeatedly checks its disk, and asks a level 3 for changes, until it is told to end.
pub(crate) fn run(pid1: &mut Pid1) -> anyhow::Result<()> {
    pid1::load(&pid1.manifest.virtio)?;
    pid1::load_kvm(pid1.level, &pid1.manifest)?;
    let mut level_3 = Tiny::looks("1")?;
    level_3.is_same()?;
    let mut port = BufReader::new(File::open("/dev/ttyS1").context("opening the second serial port")?);
    let told = thread::spawn(move || port.read_line(&mut String::new()));
    let mut log = None;
    for round in 0.. {
        let before = Clocks::now();
        let said = disk::check(Path::new("/dev/vda"), round).context("checking the disk")?;
        level_3.is_same()?;
        before.go_on()?;
        // During the first round, the kernel prints messages about devices used for the first time.
        log.get_or_insert(KernelLog::now()?).has_not_grown()?;
        pid1.say(said);
        if told.is_finished() {
            break;
        }
    }
    level_3.end()
}
