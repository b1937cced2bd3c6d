//! `cargo lab`: demonstrates and tests nvmm on a machine with Rust and apt.

mod apt;
mod boot_disks;
mod build;
#[path = "../../../vmm/src/nest/clock.rs"]
#[expect(unreachable_pub, reason = "the crate vmm has it public")]
#[cfg_attr(not(test), expect(dead_code, reason = "the lab does not use all of it"))]
mod clock;
mod hangs;
mod host;
mod kernel;
mod level0;
mod libvirt;
#[path = "../../../vmm/src/manual/lines.rs"]
mod lines;
mod nested;
#[path = "../../../vmm/src/nest/one_processor.rs"]
mod one_processor;
mod python;
mod readme;
mod report;
mod ssh;
mod stranger;
mod system;
mod systems_cd;
mod training;
mod units;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use boot_disks::BootDisks;
use host::Host;
use kernel::Kernel;
use nested::Lab;
use report::Report;
use training::{Part, Parts, Training};

/// Runs nvmm's demonstration and tests, having installed what they need
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Boot Linux in Linux under nvmm: `nvmm nest --levels 2`
    Demo {
        /// The host to run it on [default: this machine's KVM where that can nest, else svm]
        #[arg(long)]
        host: Option<Host>,
    },
    /// Boot Linux in Linux time after time on an emulated SVM host that misjudges its TSC, where guests of KVM tend to stall
    Stalls {
        /// Number of runs
        #[arg(long, default_value_t = 30)]
        times: u32,
    },
    /// Make the training lab of resources/lab, and work in it: level 1 on a bridge, three guests in it by libvirt and by nvmm
    Training {
        /// Parts of it to run [default: all]
        parts: Vec<Part>,
    },
    /// Make the disks that start by firmware: Debian with GRUB on an MBR disk for BIOS, and on a GPT disk for UEFI
    Disks,
    /// Make the files of a release in target/release-files: a Debian package, an archive, man pages and completions
    Release,
    /// Paste the README's commands, one after the other, in a clean Debian
    Readme {
        /// The folder with the files of a release [default: they are made now]
        #[arg(long)]
        files: Option<PathBuf>,
    },
    /// Run every test: format, lints, unit tests, tiny guests, nested boots on both emulated hosts
    Test,
    /// Run single tests of an emulated host, and show what its consoles show
    ///
    /// Some are too long for `cargo lab test`, and run only so: Bochs takes minutes to boot Debian as far as its login.
    Scenario {
        /// The emulated host: svm or vmx
        #[arg(value_parser = emulated)]
        host: Host,
        /// Words that are in the name of each test to run; the names are listed if none has them
        words: String,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo { host } => demo(host),
        Command::Stalls { times } => stalls(times),
        Command::Training { parts } => training(&parts),
        Command::Disks => disks(),
        Command::Release => release(),
        Command::Readme { files } => readme(files),
        Command::Test => test(),
        Command::Scenario { host, words } => scenario(host, &words),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(host: Option<Host>) -> Result<bool> {
    let host = match host {
        Some(host) => host,
        None => match host::cannot_nest() {
            None => Host::Kvm,
            Some(reason) => {
                eprintln!("lab: {reason}: taking an emulated host");
                Host::Svm
            }
        },
    };
    apt::install(host.packages())?;
    let kernel = Kernel::cloud()?;
    let nvmm = build::release("vmm", "nvmm")?;
    let status = nested::nest(&nvmm, &kernel, host, 2).status()?;
    Ok(status.success())
}

fn stalls(times: u32) -> Result<bool> {
    apt::install(Host::Svm.packages())?;
    let kernel = Kernel::cloud()?;
    let nvmm = build::release("vmm", "nvmm")?;
    Ok(nested::repeat(&nvmm, &kernel, times) == 0)
}

fn training(parts: &[Part]) -> Result<bool> {
    let mut report = Report::new();
    apt::install(&[Host::Svm.packages(), training::PACKAGES].concat())?;
    let nvmm = build::release("vmm", "nvmm")?;
    let parts = if parts.is_empty() { Parts::all() } else { Parts::new(parts) };
    Training::images(&nvmm)?.run_by_two(&parts, &mut report);
    print!("{report}");
    Ok(report.failed() == 0)
}

fn disks() -> Result<bool> {
    apt::install(boot_disks::PACKAGES)?;
    let BootDisks { mbr, gpt } = BootDisks::make_or_find()?;
    println!("{}: BIOS\n{}: UEFI\nroot's password is lab", mbr.display(), gpt.display());
    Ok(true)
}

fn release() -> Result<bool> {
    release_files(&build::release("vmm", "nvmm")?)?;
    println!("lab: the files are in target/release-files");
    Ok(true)
}

/// Makes the files of a release of `nvmm`, and returns their folder.
fn release_files(nvmm: &Path) -> Result<PathBuf> {
    let folder = build::root().join("target/release-files");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    // A separate program, since it depends on all of nvmm.
    let mut release = build::cargo();
    release.args(["run", "--quiet", "--package", "release", "--"]).arg(nvmm).arg(&folder);
    let made = release.status().context("starting cargo")?;
    ensure!(made.success(), "the files of the release were not made: {made}");
    Ok(folder)
}

fn readme(files: Option<PathBuf>) -> Result<bool> {
    let mut report = Report::new();
    apt::install(stranger::PACKAGES)?;
    let files = match files {
        Some(files) => Ok(files),
        None => release_files(&build::release("vmm", "nvmm")?),
    };
    readme::run(files, &mut report);
    print!("{report}");
    Ok(report.failed() == 0)
}

/// Parses the name of an emulated host.
fn emulated(name: &str) -> Result<Host, String> {
    let host = Host::from_str(name, false)?;
    host.emulated().map(|_| host).ok_or_else(|| "only an emulated host has scenarios: svm, vmx".to_owned())
}

fn test() -> Result<bool> {
    let mut report = Report::new();
    apt::install(&[packages(), [apt::UNIT_TESTS, stranger::PACKAGES, training::PACKAGES].concat()].concat())?;
    units::run(&mut report);
    let lab = lab()?;
    readme::run(release_files(&lab.nvmm), &mut report);
    let training = Training::images(&lab.nvmm);
    nested::run(&lab, &training, &mut report);
    print!("{report}");
    Ok(report.failed() == 0)
}

fn scenario(host: Host, words: &str) -> Result<bool> {
    let mut report = Report::new();
    apt::install(&packages())?;
    nested::run_only(&lab()?, host, words, &mut report);
    print!("{report}");
    Ok(report.failed() == 0)
}

/// The Debian packages that emulated hosts and their guests need.
fn packages() -> Vec<&'static str> {
    let guests = [system::PACKAGES, boot_disks::PACKAGES, systems_cd::PACKAGES, ssh::PACKAGES];
    [Host::Svm.packages(), Host::Vmx.packages(), &guests.concat()].concat()
}

/// The programs, kernels and disks for them.
fn lab() -> Result<Lab> {
    let cloud = Kernel::cloud()?;
    let nvmm = build::release("vmm", "nvmm")?;
    Ok(Lab {
        system: system::image(&cloud),
        boot_disks: BootDisks::make_or_find().and_then(|disks| disks.images(&nvmm)),
        systems: systems_cd::image(),
        ssh: ssh::folder()?,
        cloud,
        generic: Kernel::generic()?,
        backports: Kernel::backports(),
        nvmm,
        guest: build::release("lab-guest", "lab-guest")?,
    })
}
