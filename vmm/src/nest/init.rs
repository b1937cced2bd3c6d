//! nvmm as /init: all of a level's user space.

use std::ffi::OsStr;
use std::path::Path;
use std::{fs, thread};

use anyhow::{Context, anyhow};

use super::exec::{
    launch,
    parcel::{self, Letter},
    seed, unpack,
};
use super::explain::{symbols, work::Work};
use super::facts::{self, Facts};
use super::image;
use super::level::Level;
use super::pid1::{self, Pid1};
use super::promise::Promise;
use super::record::FailureKind;
use super::report::Said;
use super::{breakage, checked, disk, unpacked};
use crate::host::Host;

/// nvmm's first disk.
const DISK: &str = "/dev/vda";

/// Returns whether this process has to call [`main`]. Being PID 1 is not enough: in a container, any program may be that.
#[must_use]
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == OsStr::new("/init"))
}

/// Does a level's work, and powers the machine off.
pub fn main() -> ! {
    pid1::run(|pid1| {
        unpacked::check()?;
        let promise = Promise::read()?;
        let facts = Facts::gather();
        let features = facts.features.clone();
        let below = promise.as_ref().map(|promise| promise.below.as_slice()).unwrap_or_default();
        pid1.say(Said::Up(Facts { features: facts::difference(below, &features), ..facts }));
        if breakage::hangs(pid1.level, &pid1.manifest) {
            loop {
                thread::park();
            }
        }
        if let Some(promise) = promise {
            let _ = pid1::load(&pid1.manifest.msr);
            let broken = promise.broken()?;
            if !broken.is_empty() {
                return Err(anyhow!(broken.join("; ")).context(FailureKind::CpuDiffers));
            }
        }
        // Level 0 is an emulated host, without a disk from nvmm.
        if pid1.level > 0 {
            pid1::load(&pid1.manifest.virtio).context(FailureKind::Disk)?;
            let said =
                disk::check(Path::new(DISK), 0).context(format!("on {DISK}")).context(FailureKind::Disk)?;
            pid1.say(said);
        }
        if pid1.level < pid1.manifest.levels {
            return start_next(pid1, features);
        }
        if pid1.manifest.explain {
            for work in Work::ALL {
                pid1.say(Said::Work(work));
                pid1.drain()?;
                work.run().context("making exits to be measured")?;
            }
        }
        if pid1.manifest.keep {
            return await_program(pid1);
        }
        match pid1.manifest.program.clone() {
            Some(program) => {
                load_programs_kvm(pid1);
                launch::run(&program, pid1.level, &pid1.console())
            }
            None => Ok(()),
        }
    })
}

/// Waits for a program, which comes after this level was saved and restored, and runs it.
fn await_program(pid1: &mut Pid1) -> anyhow::Result<()> {
    let disk = parcel::find()?;
    load_programs_kvm(pid1);
    pid1.say(Said::Ready);
    pid1.drain()?;
    let (Letter { program, seed }, archive) = parcel::receive(&disk)?;
    // Otherwise programs in copies of this level would get the same random numbers.
    if let Err(error) = seed::seed(&seed) {
        pid1.say(Said::Text(format!("no new random numbers: {error}")));
    }
    unpack::unpack(archive, Path::new("/")).context("unpacking the program")?;
    launch::run(&program, pid1.level, &pid1.console())
}

/// Loads KVM for the user's program, if the CPU supports it.
fn load_programs_kvm(pid1: &mut Pid1) {
    if facts::virtualization().is_some() {
        match pid1::load_kvm(pid1.level, &pid1.manifest) {
            Ok(()) => pid1.say(Said::Kvm),
            Err(error) => pid1.say(Said::Text(format!("there is no /dev/kvm for the program: {error:#}"))),
        }
    }
}

fn start_next(pid1: &mut Pid1, features: Vec<String>) -> anyhow::Result<()> {
    let manifest = pid1.manifest.clone();
    pid1::load_kvm(pid1.level, &manifest).context(FailureKind::KvmDidNotLoad)?;
    // KVM may be built in, and then nothing has failed.
    if facts::virtualization().is_none() {
        return Err(anyhow!("the CPU has neither VMX nor SVM").context(FailureKind::NoNesting));
    }
    let host = Host::open(Path::new("/dev/kvm")).context(FailureKind::KvmDidNotLoad)?;
    pid1.say(Said::Kvm);
    let (check, outcome) = checked::run(pid1.level + 1 < manifest.levels);
    pid1.say(Said::Check(check));
    outcome?;
    let image = image::pack(&manifest.at(pid1.level + 1), |name| {
        fs::read(image::in_root(name)).with_context(|| format!("reading /{name}"))
    })?;
    // An emulated host has no disk, and no level below.
    if manifest.explain && pid1.level > 0 {
        symbols::save(Path::new(DISK), disk::END)
            .context("saving the kernel's symbols")
            .context(FailureKind::Vmm)?;
    }
    let parcel = if manifest.keep { Some(parcel::find()?) } else { None };
    let next = Level {
        number: pid1.level + 1,
        manifest: &manifest,
        nvmm: &image::in_root(image::INIT),
        kernel: &image::in_root(image::KERNEL),
        image: &image,
        files: &image::in_root(image::FILES),
        parcel: parcel.as_deref(),
        keep: None,
    };
    next.run(&host, features, &mut |line| pid1.print(line))
}
