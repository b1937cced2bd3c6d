//! The cost of a machine compared with the least that KVM needs: `cargo bench -p vmm --bench costs -- [start] [sandbox] [restore] [save]
//! [clones] [exits] [viewer]`.
//!
//! Every row runs nvmm and a bare KVM program in turn, as whole processes with the same guest; the ratio is that of their medians. The bare
//! program is this one, started again with the argument `bare`.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![expect(unsafe_code, reason = "wait4 and the bare program's ioctls")]

#[path = "support/control.rs"]
mod control;
#[path = "support/screen.rs"]
mod screen;
#[path = "support/mod.rs"]
mod support;
#[path = "support/viewer.rs"]
mod viewer;

use std::{
    fs::File,
    mem::MaybeUninit,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use arch::{
    boot::{Entry, Protocol},
    memory::GuestRam,
};
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_pit_config, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};
use linux_loader::loader::{Elf, KernelLoader};
use vm_memory::{GuestAddress, GuestMemoryBackend};

const MEMORY: usize = 128 << 20;
const RUNS: usize = 41;

fn main() {
    let args: Vec<_> = std::env::args().collect();
    if let [_, mode, guest] = args.as_slice()
        && mode == "bare"
    {
        bare(Path::new(guest));
        return;
    }
    println!("{:<40} {:>12} {:>12} {:>5}", "", "nvmm", "bare KVM", "ratio");
    let parts = [
        ("start", start as fn()),
        ("sandbox", sandbox),
        ("restore", restore),
        ("save", save),
        ("clones", clones),
        ("exits", exits),
        ("viewer", viewer),
    ];
    for (name, part) in parts {
        // cargo adds `--bench`; any other word selects a part.
        let picked: Vec<_> = args.iter().skip(1).filter(|word| !word.starts_with('-')).collect();
        if picked.is_empty() || picked.iter().any(|word| *word == name) {
            part();
        }
    }
}

/// A figure's name, its unit, and the function that extracts it from a run.
type Figure = (&'static str, &'static str, fn(&Run) -> f64);

/// A guest that powers off at once.
fn start() {
    let rows = measure("power_off", RUNS);
    let figures: [Figure; 3] = [
        ("start to power-off, user+system", "ms", |run| run.cpu.as_secs_f64() * 1e3),
        ("start to power-off, elapsed", "ms", |run| run.wall.as_secs_f64() * 1e3),
        ("resident at most, guest's pages with it", "MiB", |run| run.resident_kib / 1024.0),
    ];
    for (name, unit, figure) in figures {
        let [nvmm, bare] = [&rows[0], &rows[1]].map(|runs| median(runs.iter().map(figure)));
        println!("{name:<40} {nvmm:>8.2} {unit:<3} {bare:>8.2} {unit:<3} {:>5.2}", nvmm / bare);
    }
}

/// A guest that powers off at once, with the sandbox and without, in turn. The least of many runs tells more than their median here: the
/// difference is small beside what other processes of the host add to a run.
fn sandbox() {
    const RUNS: usize = 200;
    let mut rows = [const { Vec::new() }; 2];
    for n in 0..=RUNS {
        for (row, mode) in rows.iter_mut().zip(["on", "off"]) {
            let mut command = support::nvmm();
            command.arg("--kernel").arg(support::guest("power_off")).args(["--memory", "128M"]);
            command.args(["--debug-exit", "0xf4", "--sandbox", mode]).stdin(Stdio::null());
            let run = time(command.stdout(Stdio::null()));
            if n > 0 {
                row.push(run.cpu.as_secs_f64() * 1e3);
            }
        }
    }
    let least = |row: &[f64]| row.iter().copied().fold(f64::INFINITY, f64::min);
    let figures = [
        ("least", rows.each_ref().map(|row| least(row))),
        ("median", rows.map(|row| median(row.into_iter()))),
    ];
    for (name, [on, off]) in figures {
        let name = format!("--sandbox on and off, user+system, {name}");
        println!("{name:<40} {on:>8.2} ms  {off:>8.2} ms  {:+.2} ms", on - off);
    }
}

/// A machine that was saved before its first instruction, which powers off: empty memory; and one with as many MiB written as it says.
fn restore() {
    for (memory, filled) in [("128M", 0), ("8G", 0), ("512M", 64), ("512M", 256)] {
        let saved = Restorable::save(memory, filled);
        let rows = saved.measure(if filled == 0 { RUNS } else { 15 });
        let what = if filled == 0 { memory.to_owned() } else { format!("{memory}, {filled} MiB written") };
        for (way, runs) in [("map", &rows[0]), ("copy", &rows[1])] {
            let figures: [Figure; 2] = [
                ("user+system", "ms", |run| run.cpu.as_secs_f64() * 1e3),
                ("elapsed", "ms", |run| run.wall.as_secs_f64() * 1e3),
            ];
            for (name, unit, figure) in figures {
                let [restored, cold, bare] =
                    [runs, &rows[2], &rows[3]].map(|runs| median(runs.iter().map(figure)));
                let name = format!("{way} of {what}, {name}");
                println!(
                    "{name:<40} {restored:>8.2} {unit:<3} {bare:>8.2} {unit:<3} {:>5.2}, of the cold start {:.2}",
                    restored / bare,
                    restored / cold
                );
            }
        }
    }
    first_instruction();
}

/// The time from exec to the output of the guest's first instructions, for a machine that was saved before them.
fn first_instruction() {
    let saved = Restorable::save_before_start("hello", "128M");
    let mut rows = [const { Vec::new() }; 3];
    for n in 0..=RUNS {
        let mut cold = support::nvmm();
        cold.arg("--kernel").arg(support::guest("hello")).args(["--memory", "128M", "--debug-exit", "0xf4"]);
        for (row, mut command) in rows.iter_mut().zip([saved.restore("map"), saved.restore("copy"), cold]) {
            let start = Instant::now();
            let mut machine = support::Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
            support::expect(machine.0.stdout.as_mut().unwrap(), "s");
            let elapsed = start.elapsed().as_secs_f64() * 1e3;
            machine.status();
            if n > 0 {
                row.push(elapsed);
            }
        }
    }
    let [map, copy, cold] = rows.map(|row| median(row.into_iter()));
    for (way, restored) in [("map", map), ("copy", copy)] {
        let name = format!("{way}, exec to the guest's first byte");
        println!(
            "{name:<40} {restored:>8.2} ms  {:>12} {:>5}, of the cold start {:.2}",
            "",
            "",
            restored / cold
        );
    }
}

/// The time for which a machine is paused while it is saved, and the time of the whole save.
fn save() {
    for (memory, filled) in [("128M", 0), ("8G", 0), ("512M", 64), ("512M", 256), ("2G", 1024)] {
        let folder = tempfile::tempdir().unwrap();
        let (socket, place) = (folder.path().join("qmp"), folder.path().join("snap"));
        let mut command = support::nvmm();
        command.arg("--kernel").arg(support::guest("filled")).args(["--cmdline", &filled.to_string()]);
        command.args(["--memory", memory, "-v", "--qmp"]).arg(&socket);
        let mut machine = support::Running::start(
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        support::expect(machine.0.stdout.as_mut().unwrap(), "ready\n");
        let (mut still, mut all) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let start = Instant::now();
            let saved = control::ctl(&socket, &["snapshot", place.to_str().unwrap()]).output().unwrap();
            assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
            all.push(start.elapsed().as_secs_f64() * 1e3);
            let stderr = machine.0.stderr.as_mut().unwrap();
            support::expect(stderr, "it stood still for ");
            still.push(milliseconds(support::expect(stderr, " of ").trim_end_matches(" of ")));
            support::expect(stderr, "\n");
            std::fs::remove_dir_all(&place).unwrap();
        }
        let [still, all] = [still, all].map(|values| median(values.into_iter()));
        let name = format!("a save of {memory}, {filled} MiB written");
        println!("{name:<40} {still:>8.2} ms  stopped, of {all:.2} ms");
    }
}

/// A time in a message, in milliseconds.
fn milliseconds(text: &str) -> f64 {
    let (number, unit) = text.split_at(text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap());
    let number: f64 = number.parse().unwrap();
    match unit {
        "s" => number * 1e3,
        "ms" => number,
        _ if unit.ends_with("\u{b5}s") => number / 1e3,
        _ => panic!("{text}"),
    }
}

/// The host's memory for ten machines, each with a quarter of a GiB written and nothing written after that.
fn clones() {
    const CLONES: usize = 10;
    const WRITTEN: u32 = 256;
    let saved = Restorable::save_written("512M", WRITTEN);
    let mut cold = support::nvmm();
    cold.arg("--kernel").arg(support::guest("filled")).args(["--memory", "512M"]);
    cold.args(["--cmdline", &WRITTEN.to_string()]);
    let ways = [("map", saved.restore("map")), ("copy", saved.restore("copy")), ("cold starts", cold)];
    for (way, mut command) in ways {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut all: Vec<_> = (0..CLONES).map(|_| support::Running::start(&mut command)).collect();
        for machine in &mut all {
            // A byte that it doesn't wait for keeps it running, and a restored guest prints nothing.
            if way == "cold starts" {
                support::expect(machine.0.stdout.as_mut().unwrap(), "ready\n");
            } else {
                std::io::Write::write_all(machine.0.stdin.as_mut().unwrap(), b"?").unwrap();
                support::expect(machine.0.stdout.as_mut().unwrap(), "?");
            }
        }
        let pss: u64 = all.iter().map(|machine| shared(machine.0.id())).sum();
        let name = format!("{CLONES} machines by {way}, {WRITTEN} MiB each");
        println!(
            "{name:<40} {:>8} MiB of the host's, each {:.1}",
            pss >> 10,
            pss as f64 / 1024.0 / CLONES as f64
        );
    }
}

/// The memory of a process in KiB, with its share of shared pages.
fn shared(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A saved machine.
struct Restorable {
    folder: tempfile::TempDir,
    memory: &'static str,
    filled: bool,
}

impl Restorable {
    fn save(memory: &'static str, filled: u32) -> Self {
        if filled == 0 {
            Self::save_before_start("power_off", memory)
        } else {
            Self::save_written(memory, filled)
        }
    }

    /// Saves a guest before its first instruction.
    fn save_before_start(guest: &str, memory: &'static str) -> Self {
        let mut command = support::nvmm();
        command.arg("--kernel").arg(support::guest(guest)).args(["--paused", "--debug-exit", "0xf4"]);
        if guest == "power_off" {
            command.args(["--serial", "null"]);
        }
        Self::save_by(command, memory, false)
    }

    /// Saves a guest that has written this many MiB.
    fn save_written(memory: &'static str, filled: u32) -> Self {
        let mut command = support::nvmm();
        command.arg("--kernel").arg(support::guest("filled")).args(["--cmdline", &filled.to_string()]);
        Self::save_by(command, memory, true)
    }

    fn save_by(mut command: Command, memory: &'static str, filled: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        command.args(["--memory", memory]).arg("--qmp").arg(&socket).stdout(Stdio::piped());
        let mut machine = support::Running::start(command.stderr(Stdio::null()));
        if filled {
            support::expect(machine.0.stdout.as_mut().unwrap(), "ready\n");
        } else {
            while !socket.exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let saved =
            control::ctl(&socket, &["snapshot", folder.path().join("snap").to_str().unwrap(), "--stop"])
                .output()
                .unwrap();
        assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
        machine.status();
        std::fs::write(folder.path().join("input"), "q").unwrap();
        Self { folder, memory, filled }
    }

    /// The command to restore it.
    fn restore(&self, way: &str) -> Command {
        let mut command = support::nvmm();
        command.arg("--restore").arg(self.folder.path().join("snap")).args(["--restore-memory", way]);
        command
    }

    /// Runs in turn: the restore by `map` and by `copy`, a machine that powers off at once, and the bare program.
    fn measure(&self, runs: usize) -> [Vec<Run>; 4] {
        let mut rows = [const { Vec::new() }; 4];
        let guest = support::guest("power_off");
        for n in 0..=runs {
            let mut cold = support::nvmm();
            cold.arg("--kernel").arg(&guest).args(["--memory", self.memory, "--serial", "null"]);
            let mut bare = Command::new(std::env::current_exe().unwrap());
            bare.arg("bare").arg(&guest);
            let commands = [self.restore("map"), self.restore("copy"), cold, bare];
            for (row, mut command) in rows.iter_mut().zip(commands) {
                if self.filled {
                    let input = File::open(self.folder.path().join("input")).unwrap();
                    command.stdin(input).stdout(Stdio::null());
                } else {
                    command.stdin(Stdio::null());
                }
                let run = time(&mut command);
                if n > 0 {
                    row.push(run);
                }
            }
        }
        rows
    }
}

/// Port accesses, each an exit to user space and back.
fn exits() {
    const EXITS: f64 = 200_000.0;
    let rows = measure("port_io", 15);
    let [nvmm, bare] = rows.map(|runs| EXITS / median(runs.iter().map(|run| run.cpu.as_secs_f64())));
    println!("{:<40} {nvmm:>8.0} /s  {bare:>8.0} /s  {:>5.2}", "port round trips a CPU second", nvmm / bare);
}

/// A guest that waits forever, and a viewer that waits for its screen to change.
fn viewer() {
    const SECONDS: u32 = 30;
    // The value of x86 Linux, whatever the rate of its own clock.
    const USER_HZ: f64 = 100.0;
    let machine = control::Machine::start("idle", &["--display", "vnc=unix:vnc"]);
    let mut viewer = viewer::Viewer::connect(&machine.folder.path().join("vnc"));
    viewer.update(true);
    viewer.ask(false);
    let stat = format!("/proc/{}/stat", machine.nvmm.0.id());
    // proc(5): the second field is the program's name, in parentheses; utime and stime are the 14th and 15th.
    let ticks = || {
        let stat = std::fs::read_to_string(&stat).unwrap();
        let words = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        words.map(|word| word.parse::<u32>().unwrap()).sum::<u32>()
    };
    std::thread::sleep(Duration::from_secs(2));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(SECONDS.into()));
    let seconds = f64::from(ticks() - before) / USER_HZ;
    let name = "a viewer of an idle screen, user+system";
    println!("{name:<40} {:>8.2} % of a core", 100.0 * seconds / f64::from(SECONDS));
}

/// The time that one process took.
struct Run {
    cpu: Duration,
    wall: Duration,
    resident_kib: f64,
}

/// Runs nvmm and the bare program in turn, so that a change in the host's speed affects both.
fn measure(guest: &str, runs: usize) -> [Vec<Run>; 2] {
    let guest = support::guest(guest);
    let mut rows = [Vec::new(), Vec::new()];
    for n in 0..=runs {
        let mut nvmm = support::nvmm();
        nvmm.arg("--kernel").arg(&guest).args(["--memory", "128M", "--serial", "null"]);
        let mut bare = Command::new(std::env::current_exe().unwrap());
        bare.arg("bare").arg(&guest);
        for (row, mut command) in rows.iter_mut().zip([nvmm, bare]) {
            let run = time(command.stdin(Stdio::null()));
            // The first run of each fills caches.
            if n > 0 {
                row.push(run);
            }
        }
    }
    rows
}

#[expect(clippy::zombie_processes, reason = "wait4 waits, and says what it took")]
fn time(command: &mut Command) -> Run {
    let start = Instant::now();
    let child = command.spawn().unwrap();
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: the pointers are to locals, and nothing else waits for our child.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((waited, status), (pid, 0), "{command:?} failed");
    // SAFETY: any bytes, such as zeros, are a valid value, and wait4 has filled it in.
    let usage = unsafe { usage.assume_init() };
    let duration = |time: libc::timeval| {
        Duration::from_micros(u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap())
    };
    Run {
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        wall: start.elapsed(),
        resident_kib: usage.ru_maxrss as f64,
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The same VM with nothing around it: one thread, no devices, and the loop of `KVM_RUN`.
fn bare(kernel: &Path) {
    let kvm = Kvm::new().unwrap();
    let vm = kvm.create_vm().unwrap();
    vm.set_identity_map_address(arch::layout::KVM_IDENTITY_MAP).unwrap();
    vm.set_tss_address(usize::try_from(arch::layout::KVM_TSS).unwrap()).unwrap();
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: MEMORY as u64,
        userspace_addr: memory.get_host_address(GuestAddress(0)).unwrap() as u64,
    };
    // SAFETY: the memory lives to the end of this function, and so longer than the VM runs.
    unsafe { vm.set_user_memory_region(region) }.unwrap();
    vm.create_irq_chip().unwrap();
    vm.create_pit2(kvm_pit_config::default()).unwrap();
    let loaded: linux_loader::loader::KernelLoaderResult =
        Elf::load(&memory, None, &mut File::open(kernel).unwrap(), None).unwrap();
    let entry = Entry { protocol: Protocol::Linux64, rip: loaded.kernel_load.0 };
    entry.write_tables(&memory).unwrap();
    let mut vcpu = vm.create_vcpu(0).unwrap();
    vcpu.set_cpuid2(&kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).unwrap()).unwrap();
    let mut sregs = vcpu.get_sregs().unwrap();
    entry.set_sregs(&mut sregs);
    vcpu.set_sregs(&sregs).unwrap();
    vcpu.set_regs(&entry.regs()).unwrap();
    let mut scratch = 0;
    loop {
        match vcpu.run().unwrap() {
            VcpuExit::IoOut(arch::layout::PM1A_CONTROL, _) => return,
            VcpuExit::IoOut(_, data) => scratch = data[0],
            VcpuExit::IoIn(_, data) => data[0] = scratch,
            exit => panic!("{exit:?}"),
        }
    }
}
