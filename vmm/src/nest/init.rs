//! nvmm as /init: the whole user space of a level.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::disk;
use super::facts::{Facts, Virt};
use super::image;
use super::level::Level;
use super::pid1::{self, Pid1};
use super::report::Said;

/// True in the process that is to call [`main`]. PID 1 alone is not enough: in a container that may be anyone.
#[must_use]
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == OsStr::new("/init"))
}

/// Does a level's work and powers the machine off.
pub fn main() -> ! {
    pid1::run(|pid1| {
        pid1.say(Said::Up(Facts::gather()));
        // Level 0 is an emulated host's, with no disk from nvmm.
        if pid1.level > 0 {
            pid1::load(&pid1.manifest.virtio)?;
            let (read, wrote) = disk::check(Path::new("/dev/vda")).context("disk check on /dev/vda")?;
            pid1.say(Said::Disk { read, wrote });
        }
        if pid1.level < pid1.manifest.levels { start_next(pid1) } else { Ok(()) }
    })
}

fn start_next(pid1: &mut Pid1) -> anyhow::Result<()> {
    let manifest = pid1.manifest.clone();
    pid1::load(&manifest.kvm)?;
    // KVM may be built in, and then nothing has failed.
    if Virt::of_this_machine().is_none() {
        bail!("the CPU has neither VMX nor SVM");
    }
    let image = image::pack(&manifest, |name| {
        fs::read(image::in_root(name)).with_context(|| format!("reading /{name}"))
    })?;
    let next = Level {
        number: pid1.level + 1,
        manifest: &manifest,
        nvmm: &image::in_root(image::INIT),
        kernel: &image::in_root(image::KERNEL),
        image: &image,
    };
    next.run(None, &mut |line| pid1.print(line))?;
    Ok(())
}
