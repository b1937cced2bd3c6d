//! Repeated starts and ends with the same files, which leave nothing behind.
//!
//! `NVMM_STARTS` is the number of starts (100), `NVMM_SEED` the seed for the moments of the ends (1).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    control::Client,
    network::Namespace,
    support::{Running, guest, no_kvm, nvmm},
};

/// An end, and the exit status that follows.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The guest powers off.
    PowerOff,
    /// The guest writes to the debug-exit port.
    DebugExit,
    /// `quit` on the control socket.
    Quit,
    /// A signal that nvmm handles, once the guest runs.
    Signal(Signal, i32),
    /// The same, at any moment before the guest runs.
    Early(Signal, i32),
    /// SIGKILL, once the guest runs.
    Kill,
    /// SIGKILL, at any moment before the guest runs.
    EarlyKill,
}

/// Early ends come both after ends that leave nothing behind, and after ends that do.
const ENDS: [End; 12] = [
    End::Kill,
    End::PowerOff,
    End::EarlyKill,
    End::Signal(Signal::TERM, 143),
    End::Early(Signal::INT, 130),
    End::EarlyKill,
    End::DebugExit,
    End::Early(Signal::TERM, 143),
    End::Early(Signal::INT, 130),
    End::Kill,
    End::Early(Signal::QUIT, 131),
    End::Quit,
];

/// The longest delay of an early end.
const EARLY: Duration = Duration::from_millis(60);

#[test]
fn starts_and_ends_leave_nothing_behind() {
    if no_kvm() {
        return;
    }
    let starts = number("NVMM_STARTS", 100);
    let mut random = number("NVMM_SEED", 1);
    let place = Place::new();
    let before = place.files();
    for start in 0..starts {
        let end = ENDS[usize::try_from(start).unwrap() % ENDS.len()];
        let earlier = place.files();
        let is_killed = place.live(end, start, &mut random);
        // Leftovers of a killed nvmm disturb nothing, as the next start shows. An nvmm that ends early may not get to removing them.
        let allowed = if matches!(end, End::Early(..)) { &earlier } else { &before };
        let left: Vec<_> = place.files().difference(allowed).cloned().collect();
        let is_clean =
            if is_killed { !left.iter().any(|name| name.starts_with("temp/")) } else { left.is_empty() };
        assert!(is_clean, "start {start}, {end:?} leaves {left:?}: {}", place.messages());
    }
    place.live(End::PowerOff, starts, &mut random);
    assert_eq!(place.files(), before);
    assert!(place.processes().is_empty(), "{:?}", place.processes());
    if let Some(network) = &place.network {
        assert!(network.interfaces().is_empty(), "{:?}", network.interfaces());
    }
    println!("{starts} starts, {} a network", if place.network.is_some() { "with" } else { "without" });
}

/// The directory of all starts.
struct Place {
    folder: TempDir,
    network: Option<Namespace>,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("temp")).unwrap();
        for file in ["disk", "base", "messages"] {
            fs::write(folder.path().join(file), [0; 1 << 16]).unwrap();
        }
        Self { folder, network: Namespace::new() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// A machine that uses everything on the host that a machine can use.
    fn machine(&self) -> Command {
        let mut command = self.network.as_ref().map_or_else(nvmm, Namespace::nvmm);
        command.arg("--kernel").arg(guest("echo")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
        command.args(["--disk", &format!("path={},format=raw", self.path("disk"))]);
        command.args(["--disk", &format!("path={},format=raw,overlay=temp", self.path("base"))]);
        command.args(["--qmp", &self.path("qmp"), "--pidfile", &self.path("pid")]);
        command.args(["--serial", "stdio", "--serial", &format!("pty={}", self.path("pty"))]);
        command.args(["--serial", &format!("unix={},server", self.path("com3"))]);
        command.args(["--gdb", &format!("unix:{}", self.path("gdb"))]);
        command.args(["--vsock", &format!("cid=3,uds={}", self.path("vsock"))]);
        if cfg!(feature = "vnc") {
            command.args(["--display", &format!("vnc=unix:{}", self.path("vnc"))]);
        }
        if self.network.is_some() {
            command.args(["--net", "bridge=br0"]);
        }
        command.env("TMPDIR", self.path("temp")).current_dir(self.folder.path());
        let messages = File::create(self.path("messages")).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(messages);
        command
    }

    /// Starts a machine, and ends it. Returns whether it was killed.
    fn live(&self, end: End, start: u64, random: &mut u64) -> bool {
        let mut nvmm = Running::start(&mut self.machine());
        match end {
            End::EarlyKill => {
                early(random);
                nvmm.0.kill().unwrap();
                nvmm.status();
                return true;
            }
            // The signal kills an nvmm that doesn't handle it yet.
            End::Early(number, status) => {
                early(random);
                signal(&nvmm.0, number);
                let status = Some(status);
                let ended = nvmm.status_in_time();
                assert!(ended == status || ended.is_none(), "start {start}, {end:?}: {ended:?}");
                return ended.is_none();
            }
            _ => {}
        }
        let mut ready = [0; 6];
        let read = nvmm.0.stdout.as_mut().unwrap().read_exact(&mut ready);
        assert!(read.is_ok() && &ready == b"ready\n", "start {start}, {end:?}: {}", self.messages());
        let status = match end {
            End::PowerOff => {
                nvmm.0.stdin.as_mut().unwrap().write_all(b"s").unwrap();
                Some(0)
            }
            End::DebugExit => {
                nvmm.0.stdin.as_mut().unwrap().write_all(b"q").unwrap();
                Some(1)
            }
            End::Quit => {
                Client::begin(Path::new(&self.path("qmp"))).call("quit", &json!({})).unwrap();
                Some(0)
            }
            End::Signal(number, status) => {
                signal(&nvmm.0, number);
                Some(status)
            }
            End::Kill | End::Early(..) | End::EarlyKill => {
                nvmm.0.kill().unwrap();
                None
            }
        };
        assert_eq!(nvmm.status_in_time(), status, "start {start}, {end:?}");
        status.is_none()
    }

    /// The messages of the last nvmm.
    fn messages(&self) -> String {
        fs::read_to_string(self.path("messages")).unwrap()
    }

    /// The names of all files.
    fn files(&self) -> BTreeSet<String> {
        let names = |folder: &str| {
            let entries = fs::read_dir(self.folder.path().join(folder)).unwrap();
            entries.map(move |entry| entry.unwrap().file_name().into_string().unwrap())
        };
        names("").chain(names("temp").map(|name| format!("temp/{name}"))).collect()
    }

    /// The processes whose command lines contain the directory.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder.path().to_str().unwrap();
        let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        });
        lines.filter(|line| line.contains(folder)).collect()
    }
}

/// Waits until a random moment of a start.
fn early(random: &mut u64) {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    thread::sleep(EARLY.mul_f64(f64::from(u32::try_from(*random >> 32).unwrap()) / f64::from(u32::MAX)));
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}
