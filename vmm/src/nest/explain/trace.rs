//! Counts KVM's tracepoints in the kernel, with histograms in a trace instance of our own.
//!
//! Linux, "Event Histograms" and ftrace's "Instances".

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use rustix::mount::MountFlags;

use super::counts::Counts;
use super::hist::Names;

/// The folders that may contain tracefs: its own, or debugfs'.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// The beginning of an instance's name, which is followed by the process id.
const INSTANCE: &str = "nvmm-nest-";
/// The number of entries of a histogram.
const SIZE: u32 = 4096;

/// The histograms, each with its event and its keys.
const EXITS: (&str, &str) = ("kvm_exit", "exit_reason,guest_rip.hex");
const NESTED: (&str, &str) = ("kvm_nested_vmexit", "exit_reason,guest_rip.hex");
const MSRS: (&str, &str) = ("kvm_msr", "ecx.hex,write");
const PORTS: (&str, &str) = ("kvm_pio", "port.hex,rw");

/// The counters for one process's guest. They and the instance are removed when this is dropped.
#[derive(Debug)]
pub(super) struct Trace {
    folder: PathBuf,
    names: Names,
}

impl Trace {
    /// Begins to count the exits of the guest of process `id`.
    ///
    /// # Errors
    ///
    /// This process lacks the permission, or the kernel can't do it.
    pub(super) fn start(id: u32, is_svm: bool) -> io::Result<Self> {
        let tracefs = find()?;
        clean(&tracefs.join("instances"));
        let folder = instance(&tracefs);
        fs::create_dir(&folder).map_err(|error| named(&folder, &error))?;
        let mut trace = Self { folder, names: Names::default() };
        let format = trace.event(EXITS.0, "format");
        let format = fs::read_to_string(&format).map_err(|error| named(&format, &error))?;
        trace.names = Names::parse(&format, is_svm);
        let (first, last) = threads(id)?;
        for (event, keys) in [EXITS, NESTED, MSRS, PORTS] {
            let trigger = trace.event(event, "trigger");
            let histogram =
                format!("hist:keys={keys}:size={SIZE} if common_pid >= {first} && common_pid <= {last}");
            fs::write(&trigger, histogram).map_err(|error| named(&trigger, &error))?;
        }
        Ok(trace)
    }

    /// The names of exit reasons.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Reads the counts so far.
    pub(super) fn counts(&self) -> io::Result<Counts> {
        let read = |event| {
            let path = self.event(event, "hist");
            fs::read_to_string(&path).map_err(|error| named(&path, &error))
        };
        Ok(Counts::parse(&read(EXITS.0)?, &read(NESTED.0)?, &read(MSRS.0)?, &read(PORTS.0)?))
    }

    fn event(&self, event: &str, file: &str) -> PathBuf {
        self.folder.join("events/kvm").join(event).join(file)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // With the instance, its histograms go.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Removes this process's instance, if there is one, even if another thread is reading it.
pub(super) fn remove() {
    for folder in TRACEFS {
        let instance = instance(Path::new(folder));
        for _ in 0..TRIES {
            if fs::remove_dir(&instance).map_err(|error| error.kind()) != Err(io::ErrorKind::ResourceBusy) {
                break;
            }
            thread::sleep(AGAIN);
        }
    }
}

/// The number of attempts to remove an instance that is being read, and the time between them.
const TRIES: u32 = 50;
const AGAIN: Duration = Duration::from_millis(10);

fn instance(tracefs: &Path) -> PathBuf {
    tracefs.join("instances").join(format!("{INSTANCE}{}", process::id()))
}

/// Removes instances that were left behind by killed runs.
fn clean(instances: &Path) {
    let Ok(entries) = fs::read_dir(instances) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(INSTANCE));
        if let Some(id) = id.and_then(|id| id.parse::<u32>().ok())
            && (id == process::id() || !Path::new("/proc").join(id.to_string()).exists())
        {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Finds tracefs. PID 1 mounts it, since nothing has mounted it before.
fn find() -> io::Result<PathBuf> {
    if process::id() == 1 {
        // It fails if tracefs is mounted already, or not supported, which is seen below.
        let _ = rustix::mount::mount("tracefs", TRACEFS[0], "tracefs", MountFlags::empty(), None);
    }
    for folder in TRACEFS {
        match fs::metadata(Path::new(folder).join("events/kvm/kvm_exit")) {
            Ok(_) => return Ok(folder.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(Path::new(folder), &error)),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "no tracefs with KVM's events: mount -t tracefs nodev /sys/kernel/tracing",
    ))
}

/// The first and the last id of a process's threads, whose ids are successive.
fn threads(id: u32) -> io::Result<(u32, u32)> {
    let tasks = fs::read_dir(format!("/proc/{id}/task"))?;
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.fold((id, id), |(first, last), id: u32| (first.min(id), last.max(id))))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
