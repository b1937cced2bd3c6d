//! The README's commands, pasted in their order by a stranger to a clean Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};

use crate::apt;
use crate::build;
use crate::host;
use crate::lines::lines;
use crate::report::{Outcome, Report};
use crate::stranger::{Network, SOURCE, Stranger, disk, last_lines};

/// The treatment of one of the README's commands.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The words that it begins with; of two entries the longer one counts.
    starts: &'static str,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Pasted: it installs this nvmm.
    Installs(&'static str),
    /// Pasted: its status is 0.
    Passes,
    /// Pasted: its status is 0 where KVM can nest, and one of these elsewhere.
    Nests(&'static [i32]),
    /// Pasted: the machine starts its disk, which powers off.
    Boots,
    /// Pasted: the same, unless the host's CPU lacks something, which nvmm names.
    BootsIfHostCan,
    /// Not pasted, for this reason.
    NotPasted(&'static str),
}

const ENTRIES: [Entry; 17] = [
    Entry {
        starts: "nvmm --cpu host-passthrough --kernel",
        how: How::NotPasted("it shows how a command looks; `nvmm nest` starts levels with the same options"),
    },
    Entry { starts: "sudo apt install", how: How::Installs("/usr/bin/nvmm") },
    Entry { starts: "sudo tar -C /usr/local", how: How::Installs("/usr/local/bin/nvmm") },
    Entry { starts: "cargo install", how: How::Installs("/home/stranger/.cargo/bin/nvmm") },
    Entry { starts: "nvmm check", how: How::Nests(&[1, 77]) },
    Entry { starts: "nvmm nest", how: How::Nests(&[77]) },
    Entry {
        starts: "cargo lab demo",
        how: How::NotPasted("`cargo lab test` boots the same levels of the same kernel on the same host"),
    },
    Entry { starts: "cargo lab test", how: How::NotPasted("this is a part of it") },
    Entry { starts: "nvmm nest --levels", how: How::Passes },
    Entry { starts: "nvmm --disk debian-12-genericcloud-amd64.qcow2", how: How::Boots },
    Entry {
        starts: "ssh -p 2222",
        how: How::NotPasted(
            "the disk here has no ssh server: a scenario of tests/guest/src/boot.rs has Debian with --ssh-key, and \
             tests/net.rs reaches a guest by hostfwd",
        ),
    },
    Entry { starts: "nvmm cpu show", how: How::Passes },
    Entry { starts: "nvmm --cpu Haswell-noTSX,+vmx,enforce", how: How::BootsIfHostCan },
    Entry { starts: "nvmm --cpu file:domain.xml", how: How::Boots },
    Entry { starts: "nvmm disk info", how: How::Passes },
    Entry { starts: "nvmm --disk path=RHEL7_Server-000002.vmdk", how: How::Boots },
    Entry {
        starts: "resources/lab/images",
        how: How::NotPasted("`cargo lab training` runs these scripts, and logs in to the machines"),
    },
];

/// Files that the commands leave in the folder of the source.
const LEFT: [&str; 3] = ["nest.xml", "nest.html", "mine.qcow2"];

/// The text of the machines' disks.
const HELLO: &str = "the disk of the README has started";
const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f stranger\n";
const DOMAIN: &str = "resources/cpu/host-passthrough.xml";

/// Seconds for a command, and for those that take longer: a compiler on a busy machine, and two levels of Linux.
const SECONDS: u32 = 120;
const LONG_SECONDS: u32 = 1800;

/// Pastes the commands, with an nvmm of which `files` have been made: the folder of a release.
pub(crate) fn run(files: Result<PathBuf>, report: &mut Report) {
    let start = Instant::now();
    let files = match files {
        Ok(files) => files,
        Err(error) => return report.show(NAME, start.elapsed(), Outcome::Failed(format!("{error:#}"))),
    };
    let stranger = match Stranger::new() {
        Ok(stranger) => stranger,
        // Not every machine uses Debian's mirror.
        Err(error) => return report.show(NAME, start.elapsed(), Outcome::Skipped(format!("{error:#}"))),
    };
    let missing = prepare(&stranger, &files);
    let took = start.elapsed();
    match missing {
        Ok(None) => {}
        Ok(Some(reason)) => return report.show(NAME, took, Outcome::Skipped(reason)),
        Err(error) => return report.show(NAME, took, Outcome::Failed(format!("{error:#}"))),
    }
    let commands = fs::read_to_string(build::root().join("README.md"))
        .context("reading README.md")
        .and_then(|readme| commands(&readme));
    let commands = match commands {
        Ok(commands) => commands,
        Err(error) => return report.show(NAME, took, Outcome::Failed(format!("{error:#}"))),
    };
    for (line, how) in commands {
        let start = Instant::now();
        let outcome = match how {
            How::NotPasted(reason) => Outcome::Skipped(reason.to_owned()),
            How::Boots | How::BootsIfHostCan if !Path::new("/dev/kvm").exists() => {
                Outcome::Skipped("there is no /dev/kvm".to_owned())
            }
            how => outcome(paste(&stranger, &line, how)),
        };
        report.show(&format!("README: {}", line.trim()), start.elapsed(), outcome);
    }
    let start = Instant::now();
    report.show("README: the files of its commands", start.elapsed(), outcome(left(&stranger)));
    let start = Instant::now();
    report.show("the package goes without a trace", start.elapsed(), outcome(purge(&stranger)));
}

const NAME: &str = "README: its commands in a clean Debian";

fn outcome(result: Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// Puts the files that the commands name into the Debian. If it can't have more packages, returns the reason.
fn prepare(stranger: &Stranger, files: &Path) -> Result<Option<String>> {
    let listed = fs::read_dir(files).with_context(|| format!("reading {}", files.display()))?;
    let mut made = Vec::new();
    for file in listed {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "deb" || end == "gz") {
            made.push(path);
        }
    }
    let folder = build::lab_dir().join("stranger/disks");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    made.extend(disks(&folder)?);
    stranger.put(&made)?;
    let write = |from: &Path, to: &str| apt::run(apt::as_root("cp").arg(from).arg(stranger.path(to)));
    write(&build::root().join(DOMAIN), &format!("{SOURCE}/domain.xml"))?;
    let key = folder.join("id_ed25519.pub");
    fs::write(&key, PUBLIC_KEY).with_context(|| format!("writing {}", key.display()))?;
    write(&key, "home/stranger/.ssh")?;
    stranger.settle()
}

/// Makes the disks: each starts, and the last is a delta of VMware's.
fn disks(folder: &Path) -> Result<Vec<PathBuf>> {
    let raw = folder.join("raw.img");
    disk(&raw, &format!("{HELLO}\r\n"))?;
    let qemu_img = |words: &[&str]| {
        let mut command = Command::new("qemu-img");
        apt::run(command.args(words).current_dir(folder))
    };
    let [cloud, vm] = ["debian-12-genericcloud-amd64.qcow2", "vm.qcow2"];
    let [base, delta] = ["RHEL7_Server.vmdk", "RHEL7_Server-000002.vmdk"];
    for (format, name) in [("qcow2", cloud), ("qcow2", vm), ("vmdk", base)] {
        qemu_img(&["convert", "-f", "raw", "-O", format, "raw.img", name])?;
    }
    qemu_img(&["create", "-q", "-f", "vmdk", "-b", base, "-F", "vmdk", delta])?;
    Ok([cloud, vm, base, delta].map(|name| folder.join(name)).to_vec())
}

/// Pastes a command and judges what it did.
fn paste(stranger: &Stranger, line: &str, how: How) -> Result<()> {
    // apt asks whether it may install what the package recommends.
    let (answer, network, seconds) = match how {
        How::Installs(_) => ("y", Network::Host, LONG_SECONDS),
        How::Nests(_) | How::Passes => ("", Network::Own, LONG_SECONDS),
        _ => ("", Network::Own, SECONDS),
    };
    let output = stranger.paste(line, answer, network, seconds)?;
    judge(&output, how, host::cannot_nest().is_none())?;
    if let How::Installs(path) = how {
        let output = stranger.paste(&format!("{path} --version"), "", Network::Own, SECONDS)?;
        let version = format!("nvmm {}\n", env!("CARGO_PKG_VERSION"));
        ensure!(output.stdout == version.as_bytes(), "{path}: {}: {}", output.status, last_lines(&output));
    }
    Ok(())
}

fn judge(output: &Output, how: How, can_nest: bool) -> Result<()> {
    let status = output.status.code();
    let said = || anyhow!("{}\n{}", output.status, last_lines(output));
    let started = String::from_utf8_lossy(&output.stdout).contains(HELLO);
    let refused = || String::from_utf8_lossy(&output.stderr).contains(": this host cannot give ");
    let is_right = match how {
        How::Nests(others) if !can_nest => status.is_some_and(|status| others.contains(&status)),
        How::Installs(_) | How::Passes | How::Nests(_) => status == Some(0),
        How::BootsIfHostCan if !started => status == Some(1) && refused(),
        How::Boots | How::BootsIfHostCan => status == Some(0) && started,
        How::NotPasted(_) => true,
    };
    if is_right { Ok(()) } else { Err(said()) }
}

/// Fails unless the commands left their files.
fn left(stranger: &Stranger) -> Result<()> {
    let output = stranger.paste(&format!("ls {}", LEFT.join(" ")), "", Network::Own, SECONDS)?;
    ensure!(output.status.success(), "{}", last_lines(&output));
    Ok(())
}

/// Removes the package, after which nothing of it may be there.
fn purge(stranger: &Stranger) -> Result<()> {
    const LINE: &str = "files=$(dpkg -L nvmm) && echo \"$files\" | grep -q bin/nvmm && sudo apt purge nvmm && \
                        for file in $files; do [ -d $file ] || ! ls $file 2>/dev/null || exit 99; done";
    let output = stranger.paste(LINE, "y", Network::Own, SECONDS)?;
    ensure!(output.status.success(), "{}\n{}", output.status, last_lines(&output));
    Ok(())
}

/// The commands of a README, each with its treatment.
fn commands(readme: &str) -> Result<Vec<(String, How)>> {
    let mut commands = Vec::new();
    for line in lines(readme) {
        let words = line.split(" #").next().unwrap_or_default().split_whitespace();
        let words = words.collect::<Vec<_>>().join(" ");
        let entries = ENTRIES.iter().filter(|entry| words.starts_with(entry.starts));
        let entry = entries.max_by_key(|entry| entry.starts.len());
        commands.push((entry.with_context(|| format!("readme.rs has no entry for: {line}"))?, line));
    }
    for entry in &ENTRIES {
        let count = commands.iter().filter(|(each, _)| each.starts == entry.starts).count();
        ensure!(count == 1, "the README has {count} commands that begin with: {}", entry.starts);
    }
    Ok(commands.into_iter().map(|(entry, line)| (line, entry.how)).collect())
}

#[cfg(test)]
#[path = "readme_test.rs"]
mod tests;
