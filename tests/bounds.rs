//! The limits on the resources that a guest can make nvmm use, as listed in the manual.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::json;
use support::{Running, expect, guest, no_kvm, nvmm, sanitizer_kib};
use tempfile::TempDir;

/// The number of the tests' rounds, unless a time is given.
const ROUNDS: usize = 3;
/// The most by which nvmm's memory may grow, in KiB.
const MOST_KIB: u64 = 1024;

/// The bytes of a disk's image: not a memory address at any offset.
const FILLER: u8 = 0xa5;

/// A machine under a storm of requests.
struct Machine {
    running: Running,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Machine {
    /// Starts a guest. All of its memory is allocated from the start.
    fn start(name: &str, words: &str, options: &[&str]) -> Self {
        // That guest's buffers reach up to the end of memory.
        let size = if name == "blk_flood" { "16M" } else { "32M" };
        let mut command = nvmm();
        command.arg("--kernel").arg(guest(name)).args(["--memory", &format!("size={size},prefault=on")]);
        command.args(["--debug-exit", "0xf4", "--cmdline", words]).args(options);
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (stdin, stdout) = (running.0.stdin.take().unwrap(), running.0.stdout.take().unwrap());
        Self { running, stdin, stdout }
    }

    /// The memory that nvmm holds in KiB, without file mappings.
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

    /// Runs the guest's storm for a few rounds, or for `NVMM_STORM` seconds, and checks that nvmm does not grow.
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
            assert!(now <= before + MOST_KIB + sanitizer_kib(), "it has grown from {before} to {now} KiB");
            // A thread and its descriptors per queue, not all of which are active at the same time.
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

/// The guest's command line for a storm.
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

/// Options for each kind of device with BARs, by the kind's name.
fn devices(folder: &Path) -> Vec<(&'static str, Vec<String>)> {
    let disk = |name: &str, more: &str| {
        vec!["--disk".to_owned(), format!("path={},format=raw{more}", image(folder, name))]
    };
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let vsock = format!("cid=77,uds={}", folder.join("vsock").display());
    let sata = [disk("sata", ",bus=sata"), words(&["--cdrom", &image(folder, "cdrom")])].concat();
    let mut devices = vec![
        ("rng", Vec::new()),
        ("blk", disk("modern", "")),
        ("legacy", disk("legacy", ",legacy=on,aio=threads")),
        ("sata", sata),
        ("balloon", words(&["--balloon"])),
        ("vsock", words(&["--vsock", &vsock])),
        ("vga", words(&["--display", "vga"])),
    ];
    match Command::new("passt").arg("--version").output() {
        Ok(_) => devices.push(("net", words(&["--net", "user"]))),
        Err(error) => println!("without a network: passt: {error}"),
    }
    devices
}

/// All of them at once, or the one that `NVMM_STORM_DEVICE` names.
#[test]
fn random_accesses_to_functions_whose_queues_are_live_grow_nothing() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let devices = devices(folder.path());
    let options: Vec<_> = match std::env::var("NVMM_STORM_DEVICE") {
        Ok(one) => {
            let (_, options) = devices.into_iter().find(|(name, _)| *name == one).expect("a kind of device");
            // The only device that a machine has unless told otherwise.
            let alone: &[_] = if one == "rng" { &[] } else { &["--rng", "off"] };
            alone.iter().map(|&word| word.to_owned()).chain(options).collect()
        }
        Err(_) => devices.into_iter().flat_map(|(_, options)| options).collect(),
    };
    Machine::start("storm", &words('b'), &options.iter().map(String::as_str).collect::<Vec<_>>()).storm();
}

#[test]
fn a_mode_that_is_set_again_and_again_grows_nothing() {
    if no_kvm() {
        return;
    }
    Machine::start("storm", "v", &["--display", "vga", "--rng", "off"]).storm();
}

/// 1 GiB in 256 requests, and the same again after a reset.
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
    assert!(after <= before + MOST_KIB + sanitizer_kib(), "it has grown from {before} to {after} KiB");
}

/// 2048 tables, half of which are read before nvmm's memory is measured.
#[test]
fn tables_of_a_qcow2_image_are_not_all_kept() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = folder.path().join("disk");
    let options = ["-f", "qcow2", "-o", "cluster_size=4k,preallocation=metadata"];
    let made = Command::new("qemu-img").args(["create", "-q"]).args(options).arg(&disk).arg("4G").output();
    match made {
        Err(error) => return println!("skipped: qemu-img: {error}"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
    let disk = format!("path={},format=qcow2", disk.display());
    let mut machine = Machine::start("blk_strides", "", &["--disk", &disk]);
    expect(&mut machine.stdout, "half\n");
    let before = machine.memory();
    expect(&mut machine.stdout, "all\n");
    let after = machine.memory();
    println!("{before} KiB, and {after} KiB at the end");
    assert!(after <= before + MOST_KIB + sanitizer_kib(), "it has grown from {before} to {after} KiB");
}

/// Each transfer fills nearly 1 GiB, and the vCPU can be stopped between two of them.
#[test]
fn transfers_by_fw_cfg_do_not_keep_the_machine_from_stopping() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("qmp");
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("fw_cfg_flood")).args(["--memory", "1G", "--debug-exit", "0xf4"]);
    command.args(["--fw-cfg", "name=opt/org.example/a,string=b", "--qmp"]).arg(&socket);
    let nvmm = Running::start(command.stdout(Stdio::piped()));
    let mut machine = control::Machine { nvmm, socket, folder };
    machine.prints("floods\n");
    let mut client = machine.client();
    for _ in 0..3 {
        client.call("stop", &json!({})).unwrap();
        assert_eq!(client.call("query-status", &json!({})).unwrap()["status"], "paused");
        client.call("cont", &json!({})).unwrap();
    }
    client.call("quit", &json!({})).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

/// The processor time of a process in nanoseconds.
fn worked(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let times = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    times.sum()
}

/// Binds this thread, and the ones that it starts from now on, to one of its processors.
fn bind(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).unwrap();
}

/// Sets a flag on drop, even after a panic.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The processor time of a guest's work, alone and next to another guest in a storm, each on its own processor. Time used by other
/// processes on the host is not included.
#[test]
#[ignore = "a measurement of a minute, best on a quiet machine: cargo test -p vmm --test bounds -- --ignored --nocapture beside"]
fn a_guest_beside_a_storm_is_hardly_slower() {
    const TURNS: usize = 4;
    const TIMES: usize = 10;
    if no_kvm() {
        return;
    }
    let all = sched_getaffinity(None).unwrap();
    let cpus: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)).collect();
    let [first, second, ..] = cpus[..] else {
        return println!("skipped: there is one processor, and it takes two");
    };
    bind(first);
    let mut guest = Machine::start("work", "", &[]);
    expect(&mut guest.stdout, "ready\n");
    let pid = guest.running.0.id();
    let mut work = || {
        let mut times: Vec<_> = (0..TIMES)
            .map(|_| {
                let before = worked(pid);
                guest.stdin.write_all(b"g").unwrap();
                expect(&mut guest.stdout, "done\n");
                worked(pid) - before
            })
            .collect();
        times.sort_unstable();
        times[TIMES / 2]
    };
    work();
    let mut ratios = Vec::new();
    for turn in 0..TURNS {
        let alone = work();
        bind(second);
        let kind = if turn % 2 == 0 { 'p' } else { 'b' };
        let mut storm = Machine::start("storm", &words(kind), &["--display", "vga", "--balloon"]);
        bind(first);
        let ends = AtomicBool::new(false);
        let beside = thread::scope(|scope| {
            expect(&mut storm.stdout, "round\n");
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    storm.stdin.write_all(b"g").unwrap();
                    expect(&mut storm.stdout, "round\n");
                }
            });
            let _ends = SetAtEnd(&ends);
            work()
        });
        let ratio = beside as f64 / alone as f64;
        println!("storm '{kind}': {alone} ns alone, {beside} ns beside it: {ratio:.3} times");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[TURNS / 2] < 1.1, "it is slower by a tenth: {ratios:?}");
}
