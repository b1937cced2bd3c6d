//! `nvmm snapshot info`: the contents of a snapshot, its requirements, and whether this host can run it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use devices::printable::ToPrintable;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use super::{
    manifest::{DiskRecord, Manifest},
    origin::kernel_release,
};
use crate::{
    cpu::{
        self,
        text::{block, fill, print},
    },
    exit::COULD_NOT,
    host::Host,
    size::Size,
};

/// The width of the column of labels.
const INDENT: usize = 12;

/// The exit statuses in `nvmm snapshot info --help`.
const STATUS: &str = "\
Exit status:
  0  this host can run it
  1  it can't, or the snapshot is damaged
  2  the command line is wrong";

/// Snapshots of machines: what they are
#[derive(Args, Debug)]
pub struct SnapshotCommand {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell what a snapshot is of, and if this host can run it
    ///
    /// Tell what a snapshot is of, what it needs, and whether this host can run it
    #[command(after_help = STATUS)]
    Info(InfoArgs),
}

#[derive(Args, Debug)]
struct InfoArgs {
    /// The snapshot's directory
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Read all of it, and check it for damage
    #[arg(long)]
    check: bool,
    /// A recorded host, of `nvmm cpu dump`, instead of this one
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
    /// KVM's device node
    #[arg(long, value_name = "PATH", default_value = "/dev/kvm")]
    kvm: PathBuf,
}

/// The information about a snapshot.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    format: u32,
    nvmm: String,
    kernel: String,
    saved: u64,
    folder: PathBuf,
    options: Vec<String>,
    vcpus: u32,
    cpu: String,
    brand: String,
    features: Vec<String>,
    nested_guests: Vec<u32>,
    memory: u64,
    memory_saved: u64,
    disks: Vec<DiskRecord>,
    /// The hosts to which its CPU lets it move.
    moves: String,
    /// Features that the host lacks.
    lacking: Vec<String>,
    /// The reason why nobody knows what it lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    obstacle: Option<String>,
    #[serde(skip)]
    asked: &'static str,
}

/// Runs the command. Returns nvmm's exit status.
///
/// # Errors
///
/// There is no such snapshot, or it is damaged.
pub fn run(args: &SnapshotCommand) -> Result<u8> {
    let Action::Info(InfoArgs { path, json, check, host, kvm }) = &args.command;
    let manifest = Manifest::read(path)?;
    manifest.check_files(path)?;
    if *check {
        manifest.read_state(path)?;
        let file = manifest.memory.open(path)?;
        manifest.memory.check(&file).with_context(|| path.printable().to_string())?;
    }
    let (lacking, obstacle) = match lacking(&manifest, host.as_deref(), kvm) {
        Ok(lacking) => (lacking, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let asked = if host.is_some() { "that host" } else { "this host" };
    let report = Report { asked, obstacle, ..Report::new(manifest, lacking) };
    let can_run = report.lacking.is_empty() && report.obstacle.is_none();
    let status = if can_run { 0 } else { COULD_NOT };
    if *json {
        let mut value = serde_json::to_value(&report)?;
        value["can-run-here"] = json!(can_run);
        print(&(serde_json::to_string_pretty(&value)? + "\n"))?;
    } else {
        print(&report.text())?;
    }
    Ok(status)
}

impl Report {
    pub(super) fn new(manifest: Manifest, lacking: Vec<String>) -> Self {
        let (memory, memory_saved) = manifest.memory.sizes();
        let words = manifest.options.words();
        let moves = manifest.cpu.moves_to();
        Self {
            format: manifest.format,
            nvmm: manifest.nvmm,
            kernel: manifest.kernel,
            saved: manifest.saved,
            folder: manifest.folder,
            options: words.iter().map(|word| word.printable().to_string()).collect(),
            vcpus: manifest.cpu.vcpus,
            cpu: manifest.cpu.spec,
            brand: manifest.cpu.brand,
            features: manifest.cpu.features,
            nested_guests: manifest.nested_guests,
            memory,
            memory_saved,
            disks: manifest.disks,
            moves,
            lacking,
            obstacle: None,
            asked: "this host",
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |label: &str, told: &str| {
            let lines = fill(told.split(' '), INDENT);
            text += &block(label, INDENT, &lines);
        };
        row("saved", &format!("{} by nvmm {} on Linux {}", date(self.saved), self.nvmm, self.kernel));
        row("folder", &self.folder.printable().to_string());
        row("options", &self.options.join(" "));
        row("vCPUs", &format!("{}: {}", self.vcpus, self.cpu));
        row("moves", &self.moves);
        let vcpus: Vec<_> = self.nested_guests.iter().map(ToString::to_string).collect();
        let nested = if vcpus.is_empty() {
            "no guest of the guest's runs".to_owned()
        } else {
            format!(
                "a guest of the guest's runs on vCPU {}: only for Linux {}",
                vcpus.join(", "),
                self.kernel
            )
        };
        row("nested", &nested);
        row("memory", &format!("{}, of which the file has {}", Size(self.memory), Size(self.memory_saved)));
        for disk in &self.disks {
            let mut told = format!(
                "{}: {}",
                disk.name,
                disk.size.map_or("no medium".to_owned(), |size| Size(size).to_string())
            );
            for file in &disk.files {
                let _ = write!(told, ", {}", file.path.printable());
            }
            row("disk", &told);
        }
        if let Some(obstacle) = &self.obstacle {
            row(self.asked, &format!("can't run it: {obstacle}"));
        } else if self.lacking.is_empty() {
            row(self.asked, "can run it");
        } else {
            row(self.asked, &format!("can't run it: it lacks {}", self.lacking.join(", ")));
        }
        text
    }
}

/// The features that a host, recorded or this one, lacks to run the machine.
fn lacking(manifest: &Manifest, recorded: Option<&Path>, kvm: &Path) -> Result<Vec<String>> {
    let host = recorded.map_or_else(|| Ok(Host::open(kvm)?.cpu), cpu::recorded)?;
    let mut lacking = manifest.cpu.lacking_on(&host)?;
    if !manifest.nested_guests.is_empty() && (recorded.is_some() || kernel_release() != manifest.kernel) {
        let unknown = if recorded.is_some() { " (a recorded host does not tell its own)" } else { "" };
        lacking.push(format!("Linux {}, for the guest's own guest{unknown}", manifest.kernel));
    }
    Ok(lacking)
}

/// The time as text.
fn date(seconds: u64) -> String {
    let time =
        i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(
        || format!("{seconds} s after 1970"),
        |time| {
            let (date, time) = (time.date(), time.time());
            format!(
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
                date.year(),
                u8::from(date.month()),
                date.day(),
                time.hour(),
                time.minute(),
                time.second()
            )
        },
    )
}

#[cfg(test)]
#[path = "info_test.rs"]
mod tests;
