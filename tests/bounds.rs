//! The bounds of what a guest can make nvmm use, as the manual lists them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use support::{Running, expect, guest, no_kvm, nvmm};
use tempfile::TempDir;

/// Rounds of the tests, unless a time is given.
const ROUNDS: usize = 3;
/// The most by which nvmm's memory may grow.
const MOST_KIB: u64 = 1024;

/// Bytes of a disk's image: no address in memory, wherever they are cut.
const FILLER: u8 = 0xa5;

/// A machine that is stormed.
struct Machine {
    running: Running,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Machine {
    /// Starts a guest; all of its memory is there from the start.
    fn start(name: &str, words: &str, options: &[&str]) -> Self {
        // That guest has its buffers up to the end of memory.
        let size = if name == "blk_flood" { "16M" } else { "32M" };
        let mut command = nvmm();
        command.arg("--kernel").arg(guest(name)).args(["--memory", &format!("size={size},prefault=on")]);
        command.args(["--debug-exit", "0xf4", "--cmdline", words]).args(options);
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (stdin, stdout) = (running.0.stdin.take().unwrap(), running.0.stdout.take().unwrap());
        Self { running, stdin, stdout }
    }

    /// The memory that it holds in KiB, without what is in files.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.0.id())).unwrap();
        let field = |name| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        field("RssAnon:") + field("RssShmem:")
    }

    fn holdings(&self) -> [usize; 2] {
        ["fd", "task"]
            .map(|name| fs::read_dir(format!("/proc/{}/{name}", self.running.0.id())).unwrap().count())
    }

    /// Has the guest storm on: for a few rounds, or as many seconds as `NVMM_STORM` says, and sees that nvmm does not grow.
    fn storm(mut self) {
        expect(&mut self.stdout, "round\n");
        let (before, start) = (self.memory(), Instant::now());
        let [descriptors, threads] = self.holdings();
        let time = number("NVMM_STORM").map(Duration::from_secs);
        let mut rounds = 0;
        while time.map_or(rounds < ROUNDS, |time| start.elapsed() < time) {
            self.stdin.write_all(b"g").unwrap();
            expect(&mut self.stdout, "round\n");
            rounds += 1;
            let (now, holdings) = (self.memory(), self.holdings());
            println!("{before} KiB, after {rounds} rounds {now} KiB; descriptors and threads: {holdings:?}");
            assert!(now <= before + MOST_KIB, "it has grown from {before} to {now} KiB");
            // A thread and its descriptors for each queue, of which not all need be served at a time.
            assert!(holdings[0] <= descriptors + 64 && holdings[1] <= threads + 32, "{holdings:?}");
        }
        self.stdin.write_all(b"q").unwrap();
        assert_eq!(self.running.status_in_time(), Some(1));
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// The command line of a storm.
fn words(kind: char) -> String {
    format!("{kind}{}", number("NVMM_STORM_SEED").unwrap_or(1))
}

fn image(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, vec![FILLER; 4 << 20]).unwrap();
    path.display().to_string()
}

#[test]
fn random_accesses_to_all_ports_grow_nothing() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = format!("path={},format=raw", image(folder.path(), "disk"));
    let ports = ["--serial", "stdio", "--serial", "null", "--serial", "null", "--serial", "null"];
    let more = ["--display", "vga", "--on-panic", "exit", "--disk", &disk];
    Machine::start("storm", &words('p'), &[&ports[..], &more].concat()).storm();
}

#[test]
fn random_accesses_to_functions_whose_queues_are_live_grow_nothing() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = |name: &str, more: &str| format!("path={},format=raw{more}", image(folder.path(), name));
    let (modern, legacy) = (disk("modern", ""), disk("legacy", ",legacy=on,aio=threads"));
    let (sata, cdrom) = (disk("sata", ",bus=sata"), image(folder.path(), "cdrom"));
    let vsock = format!("cid=77,uds={}", folder.path().join("vsock").display());
    let disks = ["--disk", &modern, "--disk", &legacy, "--disk", &sata, "--cdrom", &cdrom];
    let more = ["--balloon", "--vsock", &vsock];
    Machine::start("storm", &words('b'), &[&disks[..], &more].concat()).storm();
}

#[test]
fn a_mode_that_is_set_again_and_again_grows_nothing() {
    if no_kvm() {
        return;
    }
    Machine::start("storm", "v", &["--display", "vga", "--rng", "off"]).storm();
}

/// 1 GiB in 256 requests, and once more after a reset.
#[test]
fn a_queue_full_of_requests_grows_nothing_the_second_time() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = folder.path().join("disk");
    fs::write(&disk, [1; 512]).unwrap();
    fs::File::options().write(true).open(&disk).unwrap().set_len(8 << 30).unwrap();
    let disk = format!("path={},format=raw", disk.display());
    let mut machine = Machine::start("blk_flood", "", &["--disk", &disk]);
    expect(&mut machine.stdout, "flooded\n");
    let before = machine.memory();
    expect(&mut machine.stdout, "flooded again\n");
    let after = machine.memory();
    assert!(after <= before + MOST_KIB, "it has grown from {before} to {after} KiB");
}
