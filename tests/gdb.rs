//! gdb, and tiny guests that it debugs.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/remote.rs"]
mod remote;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use remote::{RIP, Remote};
use rustix::process::{Pid, Signal, kill_process};
use support::{Running, expect, expect_end, guest, no_kvm, nvmm};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_secs(60);

/// Says that a test is skipped, and why, where there is no KVM or no gdb.
fn cannot() -> bool {
    static GDB: OnceLock<bool> = OnceLock::new();
    let there = *GDB.get_or_init(|| {
        Command::new("gdb").arg("--version").output().is_ok_and(|version| version.status.success())
    });
    if !there {
        println!("skipped: gdb is missing; apt-get install gdb");
    }
    !there || no_kvm()
}

/// Returns whether KVM is one in software, as it must be without VMX and SVM.
fn in_software() -> bool {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    !flags.split(' ').any(|flag| matches!(flag, "vmx" | "svm"))
}

/// The addresses of the guest's parts.
struct Places {
    tick: u64,
    count: u64,
    seen: u64,
    go: u64,
}

impl Places {
    fn of_line(line: &str) -> Self {
        let words: Vec<_> = line.split_whitespace().collect();
        let value = |name| {
            let at =
                words.iter().position(|word| *word == name).unwrap_or_else(|| panic!("no {name}: {line}"));
            u64::from_str_radix(words[at + 1], 16).unwrap()
        };
        Self { tick: value("tick"), count: value("count"), seen: value("seen"), go: value("go") }
    }

    /// The same, of a guest that runs for that.
    fn find() -> Self {
        let folder = TempDir::new().unwrap();
        let mut machine = Machine::start(&folder, &[]);
        Self::of_line(&machine.line())
    }
}

/// A machine that can be debugged.
struct Machine {
    nvmm: Running,
    socket: PathBuf,
}

impl Machine {
    fn start(folder: &TempDir, options: &[&str]) -> Self {
        Self::start_guest("debugged", folder, options)
    }

    fn start_guest(name: &str, folder: &TempDir, options: &[&str]) -> Self {
        let socket = folder.path().join("gdb");
        let mut command = nvmm();
        command.arg("--kernel").arg(guest(name)).args(["--debug-exit", "0xf4", "--memory", "16M"]);
        command.args(["-gdb", &format!("unix:{}", socket.display())]).args(options);
        let nvmm = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let started = Instant::now();
        while !socket.exists() {
            assert!(started.elapsed() < MINUTE, "nvmm does not listen");
            thread::sleep(Duration::from_millis(1));
        }
        Self { nvmm, socket }
    }

    /// The next line that the guest prints.
    fn line(&mut self) -> String {
        expect(self.nvmm.0.stdout.as_mut().unwrap(), "\n")
    }

    /// gdb, connected, and with something to do.
    fn gdb<T: AsRef<str>>(&self, orders: &[T]) -> Command {
        let mut gdb = Command::new("gdb");
        // A home of its own, so that nobody's settings count.
        gdb.args(["-nx", "-q", "-batch", "-iex", "set confirm off", "-iex", "set height 0"]);
        gdb.arg("-ex").arg(format!("target remote {}", self.socket.display()));
        for order in orders {
            gdb.args(["-ex", order.as_ref()]);
        }
        gdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        gdb
    }

    /// The lines that gdb prints while it does something.
    fn debug<T: AsRef<str>>(&self, orders: &[T]) -> Vec<String> {
        let output = self.gdb(orders).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until gdb has let the vCPUs run: each has a thread only then.
    fn wait_for_vcpus(&self) {
        let started = Instant::now();
        let tasks = format!("/proc/{}/task", self.nvmm.0.id());
        // One may have ended meanwhile.
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        while !fs::read_dir(&tasks).unwrap().any(|task| name(task.unwrap()) == "vcpu0\n") {
            assert!(started.elapsed() < MINUTE, "no vCPU runs");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for nvmm's end. Returns its status and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.nvmm.status_in_time();
        let mut said = String::new();
        self.nvmm.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }
}

/// The values that gdb has printed as `NAME is VALUE`.
fn values(lines: &[String], name: &str) -> Vec<u64> {
    let prefix = format!("{name} is ");
    lines
        .iter()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(|value| u64::from_str_radix(value.trim_start_matches("0x"), 16).unwrap())
        .collect()
}

/// An order that has gdb print a value.
fn show(name: &str, value: &str) -> String {
    format!(r#"printf "{name} is %#lx\n", (unsigned long)({value})"#)
}

fn memory(name: &str, address: u64) -> String {
    show(name, &format!("*(unsigned long *){address:#x}"))
}

fn set_memory(address: u64, value: u64) -> String {
    format!("set var *(unsigned long *){address:#x} = {value}")
}

#[test]
fn a_guest_is_debugged_from_its_first_instruction_to_its_end() {
    if cannot() {
        return;
    }
    let Places { tick, count, seen, go } = Places::find();
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["-S"]);
    let lines = machine.debug(&[
        show("first", "$rip"),
        show("cr3", "$cr3"),
        show("efer", "$efer"),
        "stepi".to_owned(),
        show("second", "$rip"),
        // By a register, and one in memory.
        format!("hbreak *{tick:#x}"),
        "continue".to_owned(),
        show("tick", "$rip"),
        format!("break *{:#x}", tick + 10),
        "continue".to_owned(),
        show("store", "$rip"),
        show("rax", "$rax"),
        // It can't be seen.
        show("code", &format!("*(unsigned short *){:#x}", tick + 10)),
        "set var $rax = 0x1122".to_owned(),
        "stepi".to_owned(),
        memory("count", count),
        set_memory(seen, 0x3344),
        "stepi".to_owned(),
        show("rdx", "$rdx"),
        "set var $xmm3.uint128 = 0x55667788".to_owned(),
        show("xmm3", "$xmm3.v2_int64[0]"),
        "delete".to_owned(),
        set_memory(go, 1),
        "continue".to_owned(),
    ]);
    let value = |name| match values(&lines, name)[..] {
        [value] => value,
        ref values => panic!("{name} is {values:x?}"),
    };
    // The first instruction loads the stack pointer, and has seven bytes.
    assert_eq!(value("second"), value("first") + 7);
    assert_eq!((value("cr3"), value("efer") & 0x500), (0x9000, 0x500));
    assert_eq!((value("tick"), value("store")), (tick, tick + 10));
    assert_eq!((value("rax"), value("code")), (1, 0x8948));
    assert_eq!((value("count"), value("rdx"), value("xmm3")), (0x1122, 0x3344, 0x5566_7788));
    assert!(lines.iter().any(|line| line.ends_with("exited with code 053]")), "{lines:#?}");
    let (status, said) = machine.end();
    assert_eq!(status, Some(43));
    assert!(said.lines().all(|line| line.contains("before its first instruction")), "{said}");
}

#[test]
fn each_vcpu_is_a_thread() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["--paused", "--smp", "2"]);
    let lines = machine.debug(&[
        "info threads",
        &show("first", "$rip"),
        "thread 2",
        &show("second", "$rip"),
        "thread 1",
        "set scheduler-locking on",
        "stepi",
        &show("after", "$rip"),
        "thread 2",
        &show("still", "$rip"),
        "kill",
    ]);
    assert!(lines.iter().any(|line| line.contains("vCPU 0 [")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("vCPU 1 [")), "{lines:#?}");
    assert_eq!(values(&lines, "after")[0], values(&lines, "first")[0] + 7);
    assert_eq!(values(&lines, "second"), values(&lines, "still"));
    let (status, said) = machine.end();
    assert_eq!(status, Some(0));
    assert_eq!(said.matches("the debugger ends the machine").count(), 1, "{said}");
}

#[test]
fn a_guest_that_runs_is_interrupted_and_goes_on_when_gdb_leaves() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { count, go, .. } = Places::of_line(&machine.line());
    let orders = [
        "echo going\\n".to_owned(),
        "continue".to_owned(),
        memory("after", count),
        memory("after", count),
        "detach".to_owned(),
    ];
    let mut gdb = Running::start(&mut machine.gdb(&orders));
    expect(gdb.0.stdout.as_mut().unwrap(), "going\n");
    machine.wait_for_vcpus();
    kill_process(Pid::from_child(&gdb.0), Signal::INT).unwrap();
    let rest = expect_end(gdb.0.stdout.as_mut().unwrap());
    assert!(rest.contains("SIGINT"), "{rest}");
    let lines: Vec<_> = rest.lines().map(str::to_owned).collect();
    let after = values(&lines, "after");
    assert!(after.len() == 2 && after[0] == after[1], "it is stopped: {rest}");
    assert_eq!(gdb.status_in_time(), Some(0));
    // It can be attached to again, and has gone on meanwhile.
    let lines = machine.debug(&[memory("later", count), set_memory(go, 1), "detach".to_owned()]);
    assert!(values(&lines, "later")[0] > after[0]);
    let (status, said) = machine.end();
    assert_eq!(status, Some(43));
    assert_eq!(said.matches("the debugger has detached").count(), 2, "{said}");
}

#[test]
fn a_guest_goes_on_when_gdb_dies() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { tick, count, go, .. } = Places::of_line(&machine.line());
    let orders = [
        // In memory even while gdb has the guest stopped.
        "set breakpoint always-inserted on".to_owned(),
        format!("break *{tick:#x}"),
        format!("hbreak *{:#x}", tick + 7),
        "continue".to_owned(),
        memory("stopped", count),
        "shell sleep 60".to_owned(),
    ];
    let mut gdb = Running::start(&mut machine.gdb(&orders));
    let seen = expect(gdb.0.stdout.as_mut().unwrap(), "stopped is ");
    assert!(seen.contains("Breakpoint "), "{seen}");
    gdb.0.kill().unwrap();
    gdb.0.wait().unwrap();
    expect(machine.nvmm.0.stderr.as_mut().unwrap(), "the debugger is gone");
    let lines = machine.debug(&[
        memory("first", count),
        show("code", &format!("*(unsigned char *){tick:#x}")),
        "detach".to_owned(),
    ]);
    assert_eq!(values(&lines, "code"), [0x48]);
    let lines =
        [lines, machine.debug(&[memory("second", count), set_memory(go, 1), "detach".to_owned()])].concat();
    assert!(values(&lines, "second")[0] > values(&lines, "first")[0], "{lines:#?}");
    assert_eq!(machine.end().0, Some(43));
}

#[test]
fn breakpoints_outlive_a_reset() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &["--cmdline", "R"]);
    let Places { tick, count, go, .. } = Places::of_line(&machine.line());
    let lines = machine.debug(&[
        format!("break *{tick:#x}"),
        "continue".to_owned(),
        memory("count", count),
        set_memory(go, 1),
        "continue".to_owned(),
        // It is at the first call in the new machine.
        show("at", "$rip"),
        memory("new", count),
        memory("go", go),
        // By gdb's own order: then it is at its first instruction.
        "monitor reset".to_owned(),
        "maintenance flush register-cache".to_owned(),
        show("first", "$rip"),
        "continue".to_owned(),
        show("again", "$rip"),
        memory("newer", count),
        "kill".to_owned(),
    ]);
    assert!(values(&lines, "count")[0] > 0, "{lines:#?}");
    assert_eq!(values(&lines, "at"), [tick]);
    assert_eq!((values(&lines, "new"), values(&lines, "go")), (vec![0], vec![0]));
    assert_eq!(values(&lines, "first"), [entry()]);
    assert_eq!((values(&lines, "again"), values(&lines, "newer")), (vec![tick], vec![0]));
    assert_eq!(machine.end().0, Some(0));
}

/// The guest's first instruction, as its ELF header has it.
fn entry() -> u64 {
    let elf = fs::read(guest("debugged")).unwrap();
    u64::from_le_bytes(elf[24..32].try_into().unwrap())
}

#[test]
fn data_is_watched() {
    if cannot() {
        return;
    }
    if in_software() {
        println!("skipped: this KVM runs guests in software, and does not watch data");
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { tick, count, seen, go } = Places::of_line(&machine.line());
    let lines = machine.debug(&[
        format!("watch *(unsigned long *){count:#x}"),
        "continue".to_owned(),
        show("written", "$rip"),
        "delete".to_owned(),
        format!("awatch *(unsigned long *){seen:#x}"),
        "continue".to_owned(),
        show("accessed", "$rip"),
        "delete".to_owned(),
        format!("rwatch *(unsigned long *){seen:#x}"),
        "continue".to_owned(),
        show("read", "$rip"),
        "delete".to_owned(),
        set_memory(go, 1),
        "continue".to_owned(),
    ]);
    // Each is told once it is done.
    assert_eq!(values(&lines, "written"), [tick + 17]);
    assert_eq!((values(&lines, "accessed"), values(&lines, "read")), (vec![tick + 24], vec![tick + 24]));
    assert!(lines.iter().any(|line| line.starts_with("Hardware watchpoint 1")), "{lines:#?}");
    assert_eq!(machine.end().0, Some(43));
}

#[test]
fn what_is_not_mapped_is_no_memory_and_its_breakpoints_take_registers() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["--paused"]);
    let mut orders: Vec<_> =
        (0..4).map(|page| format!("break *{:#x}", 0xffff_ffff_8100_0000_u64 + page)).collect();
    orders.extend(["stepi".to_owned(), show("second", "$rip"), "break *0xffffffff81000100".to_owned()]);
    let mut gdb = machine.gdb(&[&orders[..], &["stepi".to_owned()]].concat());
    let output = gdb.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(values(&lines, "second"), [entry() + 7]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("Cannot insert breakpoint 5"), "{errors}");
    // Above the RAM, and where there is none at all.
    for address in ["0x1000000", "0xffffffff81000000", "0xfffffffffffffff8"] {
        let output = machine.gdb(&[format!("x/2xb {address}")]).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("Cannot access memory at address"), "{errors}");
    }
    let mut nvmm = machine;
    let killed = nvmm.gdb(&["kill"]).output().unwrap();
    let text = String::from_utf8([killed.stdout, killed.stderr].concat()).unwrap();
    assert!(killed.status.success() && text.contains("[Inferior 1 (process 1) killed]"), "{text}");
    assert!(nvmm.nvmm.status_in_time() == Some(0));
}

#[test]
fn monitor_asks_what_qemu_s_monitor_tells() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["--paused"]);
    let orders = [
        "monitor info status",
        "monitor info registers",
        "monitor help",
        "monitor no such thing",
        // It is still stopped where it was.
        &show("first", "$rip"),
        "kill",
    ];
    let output = machine.gdb(&orders).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert!(text.contains("debug"), "{text}");
    assert!(text.contains(&format!("RIP={:016x}", entry())), "{text}");
    assert!(text.contains("monitor reset ") && text.contains("no such thing"), "{text}");
    assert_eq!(values(&lines, "first"), [entry()]);
    assert_eq!(machine.end().0, Some(0));
}

/// A debugger that is not gdb.
fn remote(machine: &Machine) -> Remote {
    Remote::connect(&machine.socket).unwrap()
}

#[test]
fn a_second_debugger_is_refused_while_one_is_there() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &["--paused"]);
    let mut first = remote(&machine);
    let mut second = UnixStream::connect(&machine.socket).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "it is told nothing");
    assert_eq!(first.register(RIP).unwrap(), entry());
    drop(first);
    // The next one is welcome at once, and its end lets the guest go on as well.
    remote(&machine).register(RIP).unwrap();
    assert!(machine.line().starts_with("tick "));
    remote(&machine).tell("k").unwrap();
    let (status, said) = machine.end();
    assert_eq!(status, Some(0));
    assert_eq!(said.matches("the debugger is gone: its breakpoints are taken out").count(), 2, "{said}");
}

#[test]
fn a_users_page_is_read_and_written_in_spite_of_smap_and_of_its_rights() {
    const PAGE: u64 = 8 << 20;
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start_guest("user", &folder, &[]);
    println!("{}", machine.line());
    let mut remote = remote(&machine);
    assert_eq!(remote.memory(PAGE + 0x100).unwrap(), u64::from_le_bytes(*b"the user"));
    remote.set_memory(PAGE + 0x100, 0x1234).unwrap();
    assert_eq!(remote.memory(PAGE + 0x100).unwrap(), 0x1234);
    remote.tell("k").unwrap();
    assert_eq!(machine.end().0, Some(0));
}

#[test]
fn what_is_no_protocol_ends_a_session_and_nothing_else() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { tick, count, go, .. } = Places::of_line(&machine.line());
    // Nonsense, too long a packet, a wrong check sum, too few registers, no such vCPU, more memory than there is.
    let long = [&b"$M0,ffff:"[..], &vec![b'0'; 1 << 20]].concat();
    let hostile: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &long,
        b"$g#00",
        b"$G00112233#87",
        b"$Hgffffffffffffffff#00",
        b"$vCont;s:7fffffff#00",
        b"\x03\x03\x03-----",
    ];
    for bytes in hostile {
        let mut remote = remote(&machine);
        remote.order(&format!("Z0,{tick:x},1")).unwrap();
        // It may have ended the session before it has taken all.
        let _ = remote.send(bytes);
    }
    // What is well said, but can't be had, is an error.
    let mut remote = remote(&machine);
    for packet in [
        "Hg7fffffff",
        "p0",
        "g",
        "m0,8",
        "Hg1",
        "mfffffffffffffff8,40",
        "mffffffffffffffff,1",
        "M7fffffffffff,1:00",
        "pffffffff",
        "Z2,1000,0",
        "Z2,1000,ffffffffffffffff",
        "Z9,1000,1",
        "z0,1234,1",
        "P12=ffffffff",
        "P39=00",
        "vCont;s:7fffffff",
    ] {
        let answer = remote.ask(packet).unwrap();
        assert!(
            answer.is_empty()
                || answer.starts_with('E')
                || packet.starts_with('H')
                || packet.starts_with("vCont"),
            "{packet}: {answer}"
        );
    }
    let before = remote.memory(count).unwrap();
    drop(remote);
    // It goes on, though it may not have been there yet.
    let started = Instant::now();
    let mut remote = self::remote(&machine);
    while remote.memory(count).unwrap() == before {
        assert!(started.elapsed() < MINUTE, "it does not go on");
        drop(remote);
        remote = self::remote(&machine);
    }
    assert_eq!(remote.memory(tick).unwrap() & 0xff, 0x48, "no breakpoint is left");
    remote.set_memory(go, 1).unwrap();
    remote.order("D").unwrap();
    assert_eq!(machine.end().0, Some(43));
}

/// The trap flag in RFLAGS, by which a KVM on hardware takes a step, is lost where the guest loads RFLAGS or the debugger changes RIP.
#[test]
fn each_step_ends_whatever_became_of_the_trap_flag() {
    /// More than the guest's loop has instructions.
    const STEPS: usize = 40;
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let places = Places::of_line(&machine.line());
    let mut remote = remote(&machine);
    while remote.memory(places.count).unwrap() == 0 {
        remote.tell("vCont;c").unwrap();
        thread::sleep(Duration::from_millis(1));
        remote.send(b"\x03").unwrap();
        assert!(remote.answer().unwrap().starts_with("T02"));
    }
    let before = remote.memory(places.count).unwrap();
    for _ in 0..STEPS {
        let from = remote.register(RIP).unwrap();
        let stop = remote.step().unwrap();
        assert!(stop.starts_with("T05"), "{stop}");
        assert_ne!(remote.register(RIP).unwrap(), from);
    }
    assert!(remote.memory(places.count).unwrap() > before);
    remote.set_register(RIP, places.tick).unwrap();
    let stop = remote.step().unwrap();
    assert!(stop.starts_with("T05"), "{stop}");
    assert_eq!(remote.register(RIP).unwrap(), places.tick + 7);
    remote.tell("k").unwrap();
    assert_eq!(machine.end().0, Some(0));
}

/// Each time, the guest is somewhere else: also in the middle of an access to a port, which is finished first.
#[test]
fn a_guest_is_stopped_wherever_it_is() {
    const TIMES: usize = 50;
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("gdb");
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("flood")).args(["--memory", "16M", "--cmdline", "h"]);
    command.args(["--gdb", &format!("unix:{}", socket.display())]);
    let mut nvmm = Running::start(command.stdout(Stdio::piped()).stdin(Stdio::piped()));
    let mut output = nvmm.0.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut all = String::new();
        // Some of it comes only once the other test is over.
        while !all.ends_with("end\n") {
            let mut bytes = [0; 4096];
            let len = output.read(&mut bytes).unwrap();
            assert!(len > 0, "it ended after {all}");
            all.push_str(std::str::from_utf8(&bytes[..len]).unwrap());
        }
        all
    });
    let mut remote = Remote::connect(&socket).unwrap();
    for _ in 0..TIMES {
        remote.tell("vCont;c").unwrap();
        thread::sleep(Duration::from_micros(300));
        remote.send(b"\x03").unwrap();
        assert!(remote.answer().unwrap().starts_with("T02"));
        let first = remote.register(RIP).unwrap();
        assert_eq!(remote.register(RIP).unwrap(), first);
        let step = remote.step().unwrap();
        assert!(step.starts_with("T05"), "{step}");
    }
    remote.order("D").unwrap();
    let all = reader.join().unwrap();
    for (number, line) in (0..8 * 1024).zip(all.lines()) {
        assert_eq!(line.trim_end(), format!("{number:08x}"));
    }
}

#[test]
fn a_place_that_can_t_be_had_is_refused_before_the_guest_runs() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let refused = |place: &str| {
        let mut command = nvmm();
        command.arg("--kernel").arg(guest("debugged")).args(["--memory", "16M", "--gdb", place]);
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]), "{place}");
        String::from_utf8(output.stderr).unwrap()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp:{}", taken.local_addr().unwrap());
    assert!(refused(&place).contains("--gdb: ") && refused(&place).contains("another program listens there"));
    let live = path("live");
    let _listener = UnixListener::bind(&live).unwrap();
    assert!(refused(&format!("unix:{live}")).contains("another program listens there"));
    let file = path("file");
    fs::write(&file, "mine").unwrap();
    assert!(refused(&format!("unix:{file}")).contains("no socket"));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert!(refused(&format!("unix:{}", path(&"x".repeat(120)))).contains("a unix socket's has at most 107"));
    assert!(refused(&format!("unix:{}", path("no/where"))).contains("No such file or directory"));
    // One that a killed process has left is replaced, and removed at the end.
    let stale = path("gdb");
    drop(UnixListener::bind(&stale).unwrap());
    let machine = Machine::start(&folder, &["--paused"]);
    let mut remote = remote(&machine);
    assert_eq!(fs::metadata(&stale).unwrap().permissions().mode() & 0o777, 0o600);
    remote.tell("k").unwrap();
    assert_eq!(machine.end().0, Some(0));
    assert!(!Path::new(&stale).exists());
}

#[test]
fn a_port_that_is_free_is_told() {
    if no_kvm() {
        return;
    }
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("debugged")).args(["--memory", "16M", "-S", "-gdb", "tcp::0"]);
    let mut nvmm = Running::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let said = expect(nvmm.0.stderr.as_mut().unwrap(), "\n");
    let address = said.trim_end().rsplit(' ').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{said}");
    stream.write_all(b"$k#6b").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(0));
}
