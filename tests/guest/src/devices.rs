//! Devices of every kind under Linux, all in one level 1: serial ports, sockets, a balloon, disks. It hangs when it has used them.

use std::fs::File;

use anyhow::{Context, anyhow};
use vmm::nest::image::{Manifest, Memfd};
use vmm::nest::pid1::Pid1;

use crate::balloon::{self, Watch};
use crate::disks;
use crate::hang::{self, Look};
use crate::level0::Guest;
use crate::ports::{self, Ends};
use crate::scenario::{self, Record};
use crate::sockets::{self, Programs};

/// Level 0: makes level 1 use its devices, and inspects it when it hangs. Returns level 1's record, and the result of the inspection.
pub(crate) fn run(manifest: &Manifest, image: &Memfd) -> anyhow::Result<(Record, anyhow::Result<()>)> {
    let mut ends = Ends::new()?;
    let programs = Programs::new()?;
    let mut watch = Watch::default();
    disks::make()?;
    let options =
        Ends::options().into_iter().chain(["--balloon"]).chain(sockets::OPTION).chain(hang::OPTIONS);
    let guest = Guest {
        scenario: scenario::DEVICES,
        parameters: hang::PARAMETERS,
        disks: disks::DISKS.map(str::to_owned).to_vec(),
        options: options.collect(),
        ..Guest::default()
    };
    let mut look: Option<Look> = None;
    let mut hear = |text: &str, nvmm: u32| match text {
        ports::OPEN => ends.talk(),
        sockets::LISTENS => programs.talk(),
        balloon::USED => watch.used(nvmm, &mut ends),
        balloon::FREED => watch.freed(nvmm, &mut ends),
        disks::GROW => disks::grow(nvmm),
        hang::HANGS => {
            look = Some(Look::start());
            Ok(())
        }
        text => {
            look.iter().for_each(|look| look.hear(text));
            Ok(())
        }
    };
    let record = guest.record(manifest, image, &mut hear);
    let looked = look.map_or_else(|| Err(anyhow!("it did not hang")), Look::judge);
    Ok((record?, looked))
}

/// Level 1: uses its devices, and records its facts about them.
pub(crate) fn use_them(pid1: &mut Pid1, record: &mut Record) -> anyhow::Result<()> {
    let mut second: File;
    (record.ports, second) = ports::use_them(pid1).context("using serial ports")?;
    sockets::use_them(pid1).context("using sockets")?;
    record.used_sockets = true;
    record.reports_free_pages = balloon::use_and_free(pid1, &mut second).context("using a balloon")?;
    // Linux reports free pages every two seconds, so there is time for the disks.
    record.disks = disks::use_them(pid1)?;
    balloon::wait(pid1, &mut second)
}
