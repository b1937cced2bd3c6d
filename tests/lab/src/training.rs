//! The training lab of `resources/lab` on an emulated SVM host: level 0 is the lab's own Debian, and runs `level0.sh` there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::apt;
use crate::build;
use crate::hangs::repeat_hangs;
use crate::level0::{HANGS, Level0};
use crate::report::{Outcome, Report};
use crate::system;

/// The Debian packages that make the lab's images.
pub(crate) const PACKAGES: &[&str] = &["e2fsprogs", "mmdebstrap", "openssh-client"];

/// Level 0's part of the test, and the lab's scripts that it uses.
const SCRIPT: &str = include_str!("../training/level0.sh");
const SCRIPTS: [&str; 3] = ["bridge", "start", "ssh_config"];
/// The disk of level 0 and of level 1, and the files that come with it.
const DISK: &str = "lab.img";
const FILES: [&str; 3] = ["key", "vmlinuz", "initrd.img"];

/// Level 0's message when it gives a check up because of [`Level0`]'s time limit.
const LATE: &str = "this takes too long";

/// A part of the test, which `level0.sh` takes by its name. Each has a level 0 of its own, so that they run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Three guests of libvirt's in level 1, and 64 MiB to level 1 and to one of them
    Libvirt,
    /// Three guests of nvmm's in level 1, and 64 MiB to one of them
    Nvmm,
    /// Three guests of nvmm's in a level 1 that libvirt's domain XML describes
    Domain,
    /// A level 1 without VMX and SVM, and an emulated guest of libvirt's in it
    Qemu64,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Libvirt => "libvirt",
            Self::Nvmm => "nvmm",
            Self::Domain => "domain",
            Self::Qemu64 => "qemu64",
        }
    }
}

/// The parts that `cargo lab test` runs, which take seven minutes of processor time. The part `libvirt` alone takes longer, and the part
/// `domain` has eight vCPUs.
pub(crate) const SUITE: &[Part] = &[Part::Nvmm, Part::Qemu64];

/// The parts that have not been started yet, the longest first.
#[derive(Debug)]
pub(crate) struct Parts(Mutex<Vec<Part>>);

impl Parts {
    pub(crate) fn all() -> Self {
        Self::new(Part::value_variants())
    }

    pub(crate) fn new(parts: &[Part]) -> Self {
        Self(Mutex::new(parts.iter().rev().copied().collect()))
    }

    fn next(&self) -> Option<Part> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// The lab's images, and the disk with nvmm and the scripts.
#[derive(Debug)]
pub(crate) struct Training {
    directory: PathBuf,
    tools: PathBuf,
}

impl Training {
    /// The images, made now or before by the users' recipe, with this machine's release and mirror of Debian.
    pub(crate) fn images(nvmm: &Path) -> Result<Self> {
        let directory = build::lab_dir().join("training");
        fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
        let here = apt::here()?;
        let recipe = build::root().join("resources/lab");
        let wanted = format!("{}\n{}", here.line(""), text_of(&recipe)?);
        let files: Vec<_> = [DISK].iter().chain(&FILES).map(|name| directory.join(name)).collect();
        let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
        system::made_once(&files, &wanted, || {
            eprintln!("lab: making the disks of the training lab");
            let mut command = apt::as_root("env");
            command.arg(format!("LAB_RELEASE={}", here.release)).arg(format!("LAB_MIRROR={}", here.line("")));
            apt::run(command.arg(recipe.join("images")).arg(&directory).arg(nvmm)).map(drop)
        })?;
        let tools = tools(&directory, nvmm)?;
        Ok(Self { directory, tools })
    }

    /// Runs parts until none is left, and calls `show` with level 0's results. Several threads may do so at the same time.
    pub(crate) fn run(&self, parts: &Parts, show: impl Fn(&str, Duration, Outcome)) {
        while let Some(part) = parts.next() {
            // A part can hang by QEMU's fault. One that fails in another way is not repeated.
            let results = repeat_hangs(|| self.run_part(part), |results| hangs(part, results));
            for (name, took, outcome) in results {
                show(&name, took, outcome);
            }
        }
    }

    /// Runs two parts at a time, as each keeps one processor busy.
    pub(crate) fn run_by_two(&self, parts: &Parts, report: &mut Report) {
        let report = Mutex::new(report);
        let show = |name: &str, took, outcome| {
            report.lock().unwrap_or_else(PoisonError::into_inner).show(name, took, outcome);
        };
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| self.run(parts, show));
            }
        });
    }

    fn run_part(&self, part: Part) -> Vec<(String, Duration, Outcome)> {
        let start = Instant::now();
        let mut results = Vec::new();
        let ended = self.try_run(part, |name, took, outcome| results.push((name, took, outcome)));
        if let Err(error) = ended {
            let name = format!("the training lab's part {}", part.name());
            results.push((name, start.elapsed(), Outcome::Failed(format!("{error:#}"))));
        }
        results
    }

    fn try_run(&self, part: Part, mut show: impl FnMut(String, Duration, Outcome)) -> Result<()> {
        let mut host = Level0::start(&self.directory, &self.tools)?;
        host.log_in()?;
        host.send(&format!("mount -o ro /dev/vdc /mnt; sh /mnt/level0.sh {}", part.name()))?;
        let mut running: Option<(String, Instant, Vec<String>)> = None;
        loop {
            let line = host.line()?;
            let Some(told) = line.strip_prefix("training: ") else {
                running.iter_mut().for_each(|(_, _, said)| said.push(line.clone()));
                continue;
            };
            match told.split_once(' ') {
                Some(("begin", name)) => {
                    running = Some((name.to_owned(), Instant::now(), Vec::new()));
                    host.begin();
                }
                Some((verdict, _)) => {
                    let (name, start, said) =
                        running.take().context("level 0 judges what it did not begin")?;
                    let outcome =
                        if verdict == "passed" { Outcome::Passed } else { Outcome::Failed(said.join("\n")) };
                    show(name, start.elapsed(), outcome);
                }
                None => return Ok(()),
            }
        }
    }
}

/// Whether a part hung, which is told then: the results of a run that is repeated are not shown.
fn hangs(part: Part, results: &[(String, Duration, Outcome)]) -> bool {
    let said = results.iter().find_map(|(_, _, outcome)| hung(outcome));
    if let Some(said) = said {
        eprintln!("lab: the training lab's part {} hangs:\n{said}", part.name());
    }
    said.is_some()
}

/// The output of a test that failed because something in it hung.
fn hung(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Failed(said) if said.contains(LATE) || said.contains(HANGS) => Some(said),
        _ => None,
    }
}

/// Makes a disk with nvmm, the lab's scripts and level 0's script.
fn tools(directory: &Path, nvmm: &Path) -> Result<PathBuf> {
    let (folder, disk) = (directory.join("tools"), directory.join("tools.img"));
    let lab = folder.join("lab");
    fs::create_dir_all(&lab).with_context(|| format!("making {}", lab.display()))?;
    let copy = |from: PathBuf, name: &str| {
        fs::copy(&from, lab.join(name)).with_context(|| format!("copying {}", from.display()))
    };
    for name in SCRIPTS {
        copy(build::root().join("resources/lab").join(name), name)?;
    }
    for name in FILES {
        copy(directory.join(name), name)?;
    }
    copy(nvmm.to_owned(), "nvmm")?;
    fs::write(folder.join("level0.sh"), SCRIPT).context("writing level 0's script")?;
    if disk.exists() {
        fs::remove_file(&disk).with_context(|| format!("removing {}", disk.display()))?;
    }
    let mut command = Command::new("mke2fs");
    apt::run(command.args(["-q", "-t", "ext4", "-d"]).arg(&folder).arg(&disk).arg("128M"))?;
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    Ok(disk)
}

/// The text of all scripts and files of the recipe.
fn text_of(folder: &Path) -> Result<String> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>())
        .with_context(|| format!("reading {}", folder.display()))?;
    entries.sort();
    let texts = entries.iter().map(|path| {
        if path.is_dir() {
            text_of(path)
        } else {
            fs::read_to_string(path).with_context(|| path.display().to_string())
        }
    });
    texts.collect()
}

#[cfg(test)]
#[path = "training_test.rs"]
mod tests;
