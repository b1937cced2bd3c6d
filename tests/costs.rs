//! The cost of a machine beside the least that KVM asks for: `cargo bench -p vmm --bench costs [start] [restore] [exits] [viewer]`.
//!
//! Every row is nvmm and a bare KVM program, run in turn as whole processes on the same guest; the ratio is that of
//! their medians. The bare program is this one, started again with `bare`.
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
    let parts = [("start", start as fn()), ("restore", restore), ("exits", exits), ("viewer", viewer)];
    for (name, part) in parts {
        // cargo adds `--bench`; any other word picks a part.
        let picked: Vec<_> = args.iter().skip(1).filter(|word| !word.starts_with('-')).collect();
        if picked.is_empty() || picked.iter().any(|word| *word == name) {
            part();
        }
    }
}

/// Its name, its unit, and how it is read off a run.
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
        println!("{:<40} {:>8.2} ms", format!("the pause to save {what}"), saved.pause.as_secs_f64() * 1e3);
    }
}

/// A saved machine.
struct Restorable {
    folder: tempfile::TempDir,
    memory: &'static str,
    filled: bool,
    /// How long the save took.
    pause: Duration,
}

impl Restorable {
    fn save(memory: &'static str, filled: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let mut command = support::nvmm();
        command.args(["--memory", memory]).arg("--qmp").arg(&socket).stdout(Stdio::piped());
        if filled == 0 {
            command.arg("--kernel").arg(support::guest("power_off")).args(["--paused", "--serial", "null"]);
        } else {
            command.arg("--kernel").arg(support::guest("filled")).args(["--cmdline", &filled.to_string()]);
        }
        let mut machine = support::Running::start(command.stderr(Stdio::null()));
        if filled == 0 {
            while !socket.exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
        } else {
            support::expect(machine.0.stdout.as_mut().unwrap(), "ready\n");
        }
        let start = Instant::now();
        let saved =
            control::ctl(&socket, &["snapshot", folder.path().join("snap").to_str().unwrap(), "--stop"])
                .output()
                .unwrap();
        assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
        let pause = start.elapsed();
        machine.status();
        std::fs::write(folder.path().join("input"), "q").unwrap();
        Self { folder, memory, filled: filled > 0, pause }
    }

    /// Restores it by `map` and by `copy`, starts a machine that powers off at once, and the bare program, in turn.
    fn measure(&self, runs: usize) -> [Vec<Run>; 4] {
        let mut rows = [const { Vec::new() }; 4];
        let guest = support::guest("power_off");
        for n in 0..=runs {
            let restore = |way| {
                let mut command = support::nvmm();
                command.arg("--restore").arg(self.folder.path().join("snap")).args(["--restore-memory", way]);
                command
            };
            let mut cold = support::nvmm();
            cold.arg("--kernel").arg(&guest).args(["--memory", self.memory, "--serial", "null"]);
            let mut bare = Command::new(std::env::current_exe().unwrap());
            bare.arg("bare").arg(&guest);
            let commands = [restore("map"), restore("copy"), cold, bare];
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

/// A guest that waits for ever, and a viewer that waits for its screen to change.
fn viewer() {
    const SECONDS: u32 = 30;
    // Of x86 Linux, whatever its own clock ticks at.
    const USER_HZ: f64 = 100.0;
    let machine = control::Machine::start("idle", &["--display", "vnc=unix:vnc"]);
    let mut viewer = viewer::Viewer::connect(&machine.folder.path().join("vnc"));
    viewer.update(true);
    viewer.ask(false);
    let stat = format!("/proc/{}/stat", machine.nvmm.0.id());
    // proc(5): the program's name, in parentheses, is the second of its words; utime and stime are the 14th and 15th.
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

/// Runs nvmm and the bare program in turn, so that a machine that changes its speed does so for both.
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
            // The first of each warms caches up.
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
    // SAFETY: the pointers are to locals, and the child is ours and not waited for by anything else.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((waited, status), (pid, 0), "{command:?} failed");
    // SAFETY: zeroed is a valid value of it, and wait4 has filled it in.
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
