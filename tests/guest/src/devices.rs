//! Devices of every kind under Linux, all in one level 1: serial ports, a balloon, disks.

use std::fs::File;

use anyhow::Context;
use vmm::nest::image::{Manifest, Memfd};
use vmm::nest::pid1::Pid1;

use crate::balloon::{self, Watch};
use crate::disks;
use crate::level0::Guest;
use crate::ports::{self, Ends};
use crate::scenario::{self, Record};

/// Level 0: has level 1 use its devices, and gives what it left.
pub(crate) fn run(manifest: &Manifest, image: &Memfd) -> anyhow::Result<Record> {
    let mut ends = Ends::new()?;
    let mut watch = Watch::default();
    disks::make()?;
    let options = Ends::options().into_iter().chain(["--balloon"]);
    let guest = Guest {
        scenario: scenario::DEVICES,
        disks: disks::DISKS.map(str::to_owned).to_vec(),
        options: options.collect(),
        ..Guest::default()
    };
    let mut hear = |text: &str, nvmm: u32| match text {
        ports::OPEN => ends.talk(),
        balloon::USED => watch.used(nvmm, &mut ends),
        balloon::FREED => watch.freed(nvmm, &mut ends),
        disks::GROW => disks::grow(nvmm),
        _ => Ok(()),
    };
    guest.record(manifest, image, &mut hear)
}

/// Level 1: uses them, and leaves what it knows of them.
pub(crate) fn use_them(pid1: &mut Pid1, record: &mut Record) -> anyhow::Result<()> {
    let mut second: File;
    (record.ports, second) = ports::use_them(pid1).context("using serial ports")?;
    record.reports_free_pages = balloon::use_and_free(pid1, &mut second).context("using a balloon")?;
    // Linux reports what is free every two seconds, and has something to do until then.
    record.disks = disks::use_them(pid1)?;
    balloon::wait(pid1, &mut second)
}
