//! Snapshots of a level 1 whose KVM is in whatever state: it is saved and restored before KVM is loaded, in VMX or SVM operation without a VMCS or
//! VMCB in use, and while a level 2 runs that looks for changes.
//!
//! Level 1 says which moment it is at, and waits for a line on its second serial port. Level 0 saves it there and ends it, restores it, and writes
//! that line.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use vmm::host::Host;
use vmm::nest::child::{Child, Output};
use vmm::nest::console::relay;
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::level::kernel_parameters;
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::level0::{Guest, NVMM};
use crate::level1::{self, PATIENCE};
use crate::scenario::{self, Record};

pub(crate) const NAME: &str = "a snapshot of L1 before KVM, with KVM on, and while an L2 runs";

const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot"));

const BEFORE_KVM: &str = "lab: before KVM is loaded";
const KVM_ON: &str = "lab: KVM is on, and nobody uses it";
const BETWEEN: &str = "lab: between two level 2";
const RUNNING: &str = "lab: level 2 runs";
/// The moments, in order.
const MOMENTS: [&str; 4] = [BEFORE_KVM, KVM_ON, BETWEEN, RUNNING];
/// Level 1 says it at the end.
const DONE: &str = "lab: it went on each time";

/// Clones of the last moment, which come from one directory before the machine itself goes on.
const CLONES: usize = 3;

/// Time for nvmm to restore a machine, which takes it two seconds on a host that is not busy.
const RESTORES: Duration = Duration::from_secs(120);

/// Level 0's places.
const SOCKET: &str = "/snapshot.qmp";
const PORT: &str = "/snapshot.port";
/// Level 1's socket to level 2's serial port.
const LEVEL_2: &str = "/level2.port";

/// Level 0: saves and restores level 1 at each moment.
pub(crate) fn run(pid1: &mut Pid1, image: &Memfd) -> anyhow::Result<()> {
    let manifest = &pid1.manifest.clone();
    // For the clones' temporary overlays.
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    let disk = Memfd::new(c"disk").context("making the disk")?;
    let file = OpenOptions::new().write(true).open(disk.path());
    file.and_then(|disk| disk.set_len(scenario::DISK_LEN)).context("making the disk")?;
    let guest = Guest { scenario: scenario::SNAPSHOT, ..Guest::default() };
    let parameters =
        format!("{} {}{}", kernel_parameters(1, manifest), scenario::PARAMETER, scenario::SNAPSHOT);
    let mut command = guest.by_options(&parameters, image, &disk);
    command.args(["--serial", "stdio", "--serial", &port()]);
    for (number, moment) in MOMENTS.iter().enumerate() {
        let mut machine = Machine::start(command, number > 0)?;
        machine.until(manifest, moment)?;
        pid1.say(Said::Text(format!("seen: {moment}")));
        let folder = format!("/snapshot{number}");
        if let Some(before) = number.checked_sub(1) {
            // It has been read, and level 0 has little room.
            fs::remove_dir_all(format!("/snapshot{before}")).context("removing the last snapshot")?;
        }
        machine.save(&folder).with_context(|| format!("saving {moment:?}"))?;
        command = restore(&folder);
        pid1.say(Said::Text(format!("saved: {moment}")));
    }
    let last = format!("/snapshot{}", MOMENTS.len() - 1);
    for clone in 0..CLONES {
        let mut command = restore(&last);
        let way = if clone % 2 == 0 { "copy" } else { "map" };
        let place = format!("id=disk1,path={},format=raw,overlay=temp", disk.path().display());
        command.args(["--restore-memory", way, "--disk", &place]);
        Machine::start(command, true)?.end(manifest).with_context(|| format!("clone {clone}"))?;
    }
    Machine::start(command, true)?.end(manifest)?;
    ensure!(Record::read(&disk.path())?.went_on, "level 1 left no word that it went on");
    Ok(())
}

fn port() -> String {
    format!("unix={PORT},server")
}

fn restore(folder: &str) -> Command {
    let mut command = Command::new(image::in_root(NVMM));
    command.args(["--restore", folder]);
    command
}

/// A level 1 that runs.
struct Machine {
    nvmm: Child,
    said: String,
}

impl Machine {
    /// Starts it. One that `goes_on` waits for a line.
    fn start(mut command: Command, goes_on: bool) -> anyhow::Result<Self> {
        for socket in [SOCKET, PORT] {
            let _ = fs::remove_file(socket);
        }
        command.args(["--qmp", SOCKET]);
        let mut nvmm = Child::spawn(command).context("starting nvmm")?;
        if goes_on {
            let told = connect(PORT, RESTORES).and_then(|mut port| Ok(port.write_all(b"go\n")?));
            if let Err(error) = told {
                let mut said = String::new();
                while let Output::Line(line) = nvmm.line(Some(Instant::now()))? {
                    said = format!("{said}\n{}", String::from_utf8_lossy(&line));
                }
                return Err(error.context(format!("nvmm does not go on:{said}")));
            }
        }
        Ok(Self { nvmm, said: String::new() })
    }

    /// Waits until level 1 says so.
    fn until(&mut self, manifest: &Manifest, words: &str) -> anyhow::Result<()> {
        let said = &mut self.said;
        let mut failure = None;
        let mut found = false;
        relay(&mut self.nvmm, 1, manifest.levels, &mut |line| {
            match line.map(|line| &line.said) {
                Some(Said::Fail(_, why)) => failure = Some(why.clone()),
                Some(Said::Text(text)) => {
                    *said = format!("{said}\n{text}");
                    found |= text == words;
                }
                _ => {}
            }
            !found && failure.is_none()
        })?;
        match failure {
            Some(failure) => bail!("{failure}{said}"),
            None if !found => bail!("level 1 has not said {words:?}, but{said}"),
            None => Ok(()),
        }
    }

    /// Saves it, which ends it.
    fn save(mut self, folder: &str) -> anyhow::Result<()> {
        let output = Command::new(image::in_root(NVMM))
            .args(["ctl", SOCKET, "snapshot", folder, "--stop"])
            .output()
            .context("starting nvmm ctl")?;
        ensure!(output.status.success(), "nvmm ctl: {}", String::from_utf8_lossy(&output.stderr));
        let status = self.nvmm.wait().context("waiting for nvmm")?;
        ensure!(status.success(), "nvmm ended with {status}: {}", self.said);
        Ok(())
    }

    /// Waits until it has done all, and has powered off.
    fn end(mut self, manifest: &Manifest) -> anyhow::Result<()> {
        self.until(manifest, DONE)?;
        relay(&mut self.nvmm, 1, manifest.levels, &mut |_| true)?;
        let status = self.nvmm.wait().context("waiting for nvmm")?;
        ensure!(status.success(), "nvmm ended with {status}: {}", self.said);
        Ok(())
    }
}

/// Connects to a socket that is made meanwhile.
fn connect(path: &str, patience: Duration) -> anyhow::Result<UnixStream> {
    let start = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) if start.elapsed() > patience => return Err(error).context(path.to_owned()),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Level 1's view of its time.
struct Clocks {
    monotonic: Instant,
    realtime: SystemTime,
}

impl Clocks {
    fn now() -> Self {
        Self { monotonic: Instant::now(), realtime: SystemTime::now() }
    }
}

/// Level 1: goes through the moments.
pub(crate) fn level_1(pid1: &mut Pid1) -> anyhow::Result<()> {
    let disk = Path::new("/dev/vda");
    let mut record = Record::read(disk)?;
    let mut port = BufReader::new(File::open("/dev/ttyS1").context("opening the second serial port")?);
    moment(pid1, &mut port, BEFORE_KVM)?;
    pid1::load_kvm(pid1.level, &pid1.manifest)?;

    // A VM without a vCPU switches VMX or SVM on, and nothing more.
    let host = Host::open(Path::new("/dev/kvm"))?;
    let vm = host.kvm.create_vm().context("KVM_CREATE_VM")?;
    moment(pid1, &mut port, KVM_ON)?;
    level1::end_level_2(level1::level_2(level1::POWER_OFF)?, 1)?;
    moment(pid1, &mut port, BETWEEN)?;
    level1::end_level_2(level1::level_2(level1::POWER_OFF)?, 2)?;
    drop(vm);

    let path = Path::new("/looks");
    fs::write(path, GUEST).context("writing level 2's kernel")?;
    let mut command = Command::new(image::in_root(NVMM));
    command.arg("--kernel").arg(path).args(["--memory", "16M", "--debug-exit", "0xf4"]);
    command.args(["--serial", &format!("unix={LEVEL_2},server,wait")]);
    let mut level_2 = Child::spawn(command).context("starting nvmm")?;
    let mut looks = connect(LEVEL_2, PATIENCE)?;
    answer(&mut looks, "ready")?;
    ask(&mut looks)?;
    moment(pid1, &mut port, RUNNING)?;
    for _ in 0..3 {
        ask(&mut looks)?;
    }
    looks.write_all(b"q").context("writing to level 2")?;
    let status = level_2.wait().context("waiting for level 2")?;
    ensure!(status.code() == Some(1), "level 2: nvmm ended with {status}");
    level1::end_level_2(level1::level_2(level1::POWER_OFF)?, 3)?;

    record.went_on = true;
    record.write(disk)?;
    pid1.say(Said::Text(DONE.to_owned()));
    Ok(())
}

/// Says that it is there, and waits for the line. Its clocks go on meanwhile.
fn moment(pid1: &mut Pid1, port: &mut impl BufRead, words: &str) -> anyhow::Result<()> {
    let before = Clocks::now();
    pid1.say(Said::Text(words.to_owned()));
    let mut line = String::new();
    port.read_line(&mut line).context("reading the second serial port")?;
    ensure!(line.trim_end() == "go", "{words}: {line:?} on the second serial port");
    let now = Clocks::now();
    ensure!(now.monotonic >= before.monotonic, "{words}: CLOCK_MONOTONIC went back");
    ensure!(now.realtime >= before.realtime, "{words}: CLOCK_REALTIME went back");
    // Both tell the same time, but for what the host's clock is corrected by meanwhile.
    let monotonic = now.monotonic.duration_since(before.monotonic);
    let realtime = now.realtime.duration_since(before.realtime)?;
    let difference = monotonic.abs_diff(realtime);
    ensure!(difference < Duration::from_secs(1), "{words}: {monotonic:?} passed, and {realtime:?}");
    Ok(())
}

/// Has level 2 look for changes.
fn ask(level_2: &mut UnixStream) -> anyhow::Result<()> {
    level_2.write_all(b".").context("writing to level 2")?;
    answer(level_2, "same")
}

fn answer(level_2: &mut UnixStream, words: &str) -> anyhow::Result<()> {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        level_2.read_exact(&mut byte).context("reading from level 2")?;
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line);
    ensure!(line.trim_end() == words, "level 2 says {line:?}");
    Ok(())
}
