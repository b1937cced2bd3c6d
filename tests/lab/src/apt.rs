//! Debian packages: finding the missing ones, installing them, and unpacking one without installing it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::build;

/// Packages that unit tests use if they are installed.
pub(crate) const UNIT_TESTS: &[&str] = &[
    "acpica-tools",
    "dmidecode",
    "dosfstools",
    "e2fsprogs",
    "fish",
    "gdb",
    "groff-base",
    "grub-common",
    "grub-pc-bin",
    "inetutils-telnet",
    "iproute2",
    "mandoc",
    "mtools",
    "passt",
    "python3-pip",
    "python3-yaml",
    "qemu-system-x86",
    "qemu-utils",
    "seabios",
    "socat",
    "xz-utils",
    "zsh",
];

/// Waits for dpkg's lock, which a cloud machine's own updates hold in its first minutes, and retries mirrors.
const OPTIONS: [&str; 4] = ["-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"];
/// The time to wait for apt's other locks, of its lists and its archives, for which apt itself doesn't wait.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(2);

/// Installs those of `packages` that are missing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing = || packages.iter().copied().filter(|package| !installed(package)).collect::<Vec<_>>();
    // Twice: apt removes packages that conflict with a new one, such as a qemu-utils of backports next to the release's qemu-system-x86,
    // and the release has a version that doesn't conflict.
    for _ in 0..2 {
        let missing = missing();
        if missing.is_empty() {
            return Ok(());
        }
        eprintln!("lab: installing {}", missing.join(" "));
        update(as_root("apt-get"), &[])?;
        let mut apt = apt_get(as_root("apt-get"));
        apt.args(["install", "-qq", "--yes", "--no-install-recommends"]).args(missing);
        run_unlocked(apt.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    let missing = missing();
    ensure!(missing.is_empty(), "apt-get did not leave these installed: {}", missing.join(" "));
    Ok(())
}

/// The package in `sources` that the metapackage `meta` refers to: its first dependency.
pub(crate) fn dependency(meta: &str, sources: &Sources) -> Result<String> {
    update(sources.updater(), &sources.options)?;
    let output = run(Command::new("apt-cache").args(&sources.options).args(["depends", meta]))?;
    first_dependency(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("apt-cache knows no {meta}: this needs Debian's packages"))
}

fn first_dependency(output: &str) -> Option<String> {
    output.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned)
}

/// Downloads the source of `package` from `sources` into `to`, and returns the original upstream archive.
pub(crate) fn source(package: &str, sources: &Sources, to: &Path) -> Result<PathBuf> {
    update(sources.updater(), &sources.options)?;
    let mut apt = apt_get(Command::new("apt-get"));
    run_unlocked(
        apt.args(&sources.options).args(["source", "-qq", "--download-only", package]).current_dir(to),
    )?;
    let files = std::fs::read_dir(to)?.collect::<Result<Vec<_>, _>>()?;
    let mut files = files.iter().map(std::fs::DirEntry::path);
    let is_archive = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains(".orig.tar.") && !name.ends_with(".asc")
    };
    files.find(is_archive).with_context(|| format!("apt-get source left no archive of {package}"))
}

/// Downloads `package` from `sources` and unpacks it into `to`, which must not exist yet.
pub(crate) fn unpack(package: &str, sources: &Sources, to: &Path) -> Result<()> {
    // Unpack to another name and rename it, so that `to` is complete if it exists.
    let part = to.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part).with_context(|| format!("removing {}", part.display()))?;
    }
    std::fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
    let mut apt = apt_get(Command::new("apt-get"));
    run_unlocked(apt.args(&sources.options).args(["download", "-qq", package]).current_dir(&part))?;
    let archives = std::fs::read_dir(&part)?.collect::<Result<Vec<_>, _>>()?;
    let archive = archives
        .iter()
        .map(std::fs::DirEntry::path)
        .find(|path| path.extension().is_some_and(|e| e == "deb"));
    let archive = archive.with_context(|| format!("apt-get download left no {package}"))?;
    run(Command::new("dpkg").arg("--extract").arg(&archive).arg(&part))?;
    std::fs::remove_file(&archive).with_context(|| format!("removing {}", archive.display()))?;
    std::fs::rename(&part, to).with_context(|| format!("making {}", to.display()))
}

/// Downloads and unpacks `package` from the machine's sources, if that was not done before; returns its directory.
pub(crate) fn fetch(package: &str) -> Result<PathBuf> {
    let folder = build::lab_dir().join(package);
    if !folder.exists() {
        eprintln!("lab: downloading {package}");
        let sources = Sources::default();
        update(sources.updater(), &sources.options)?;
        unpack(package, &sources, &folder)?;
    }
    Ok(folder)
}

fn update(apt: Command, options: &[String]) -> Result<Output> {
    run_unlocked(apt_get(apt).args(options).args(["update", "-qq"]))
}

/// Adds the options for a machine that others use too, and makes messages recognizable by [`is_locked`].
fn apt_get(mut command: Command) -> Command {
    command.env("LC_ALL", "C").args(OPTIONS);
    command
}

fn installed(package: &str) -> bool {
    let query =
        Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

pub(crate) fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// Runs apt-get again while another process holds a lock that it needs.
fn run_unlocked(command: &mut Command) -> Result<Output> {
    let start = Instant::now();
    let mut told = false;
    loop {
        match run(command) {
            Err(error) if is_locked(&error.to_string()) && start.elapsed() < PATIENCE => {
                if !told {
                    eprintln!("lab: waiting for another process that uses apt");
                    told = true;
                }
                thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// `E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)`.
fn is_locked(message: &str) -> bool {
    message.contains("Could not get lock")
}

pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}\n{}", arguments.join(" "), output.status, errors.trim_end());
    }
    Ok(output)
}

/// The sources of packages.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// apt's options; if empty, the machine's own settings apply.
    options: Vec<String>,
}

impl Sources {
    /// The backports for this machine's release of Debian, from the mirror that it uses. apt's files for that are in `dir`, so that the
    /// machine's own are not changed.
    pub(crate) fn backports(dir: &Path) -> Result<Self> {
        Self::of(dir, &here()?.line("-backports"))
    }

    /// The source packages of this machine's release, in the same way.
    pub(crate) fn of_sources(dir: &Path) -> Result<Self> {
        Self::of(dir, &here()?.line("").replacen("deb ", "deb-src ", 1))
    }

    fn of(dir: &Path, line: &str) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(dir.join(part)).with_context(|| format!("making {}", dir.display()))?;
        }
        let list = dir.join("sources.list");
        std::fs::write(&list, format!("{line}\n")).with_context(|| format!("writing {}", list.display()))?;
        let setting = |name: &str, value: &Path| format!("--option={name}={}", value.display());
        Ok(Self {
            options: vec![
                setting("Dir::Etc::SourceList", &list),
                setting("Dir::Etc::SourceParts", Path::new("-")),
                setting("Dir::State::Lists", &dir.join("lists")),
                setting("Dir::Cache", &dir.join("cache")),
            ],
        })
    }

    /// apt-get as a user who may write the lists.
    fn updater(&self) -> Command {
        if self.options.is_empty() { as_root("apt-get") } else { Command::new("apt-get") }
    }
}

/// This machine's release of Debian.
#[derive(Debug)]
pub(crate) struct Here {
    /// The codename.
    pub(crate) release: String,
    /// The address of the mirror.
    pub(crate) mirror: String,
}

impl Here {
    /// The line of sources.list for the release with `suffix`, such as `-backports`.
    pub(crate) fn line(&self, suffix: &str) -> String {
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        format!("deb [signed-by={keys}] {} {}{suffix} main", self.mirror, self.release)
    }
}

/// Reads apt's settings.
pub(crate) fn here() -> Result<Here> {
    let format = "--format=$(ORIGIN) $(CODENAME) $(REPO_URI)";
    let targets = run(Command::new("apt-get").args(["indextargets", format, "Created-By: Packages"]))?;
    let targets = String::from_utf8_lossy(&targets.stdout);
    let (release, mirror) = release(&targets).context("apt here has no release of Debian")?;
    Ok(Here { release: release.to_owned(), mirror: mirror.to_owned() })
}

/// The codename of the machine's release and its mirror, from the list of all indexes in apt: origin, codename, address.
fn release(targets: &str) -> Option<(&str, &str)> {
    let mut debian = targets.lines().filter_map(|line| line.strip_prefix("Debian ")?.split_once(' '));
    // Updates and security fixes have the release's name with a suffix.
    debian.find(|(codename, _)| !codename.contains('-'))
}

#[cfg(test)]
#[path = "apt_test.rs"]
mod tests;
