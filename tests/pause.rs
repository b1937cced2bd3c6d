//! A machine that is paused and continued by Ctrl-A p.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/remote.rs"]
mod remote;
#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use remote::Remote;
use rustix::process::{Pid, Signal, kill_process};
use support::{Running, guest, in_time, no_kvm, nvmm};
use tempfile::TempDir;
use terminal::Terminal;

const PAUSE_KEY: &[u8] = b"\x01p";
const QUIT_KEY: &[u8] = b"\x01x";
const TIMES: usize = 100;
const PAUSED: &str = "the machine is paused";
const GOES_ON: &str = "the machine goes on";

/// A machine whose console is a terminal that is read all the time. Its messages go to a file.
struct Machine {
    terminal: Terminal,
    output: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    messages: PathBuf,
}

impl Machine {
    fn start(folder: &TempDir, name: &str, options: &[&str]) -> Self {
        let messages = folder.path().join("messages");
        let mut command = Command::new("sh");
        // Only a shell can separate the two output streams of a terminal.
        command.args(["-c", "messages=$1; shift; exec \"$@\" 2>\"$messages\"", "sh"]).arg(&messages);
        command.arg(nvmm().get_program()).arg("--kernel").arg(guest(name));
        command.args(["--debug-exit", "0xf4", "--memory", "16M"]).args(options);
        let terminal = Terminal::start(command);
        let (mut user, output) = (terminal.user.try_clone().unwrap(), Arc::default());
        let seen: Arc<Mutex<Vec<u8>>> = Arc::clone(&output);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of a terminal is reported as an error.
            while let Ok(len) = user.read(&mut bytes) {
                seen.lock().unwrap().extend(&bytes[..len]);
            }
        });
        // Before that, the terminal itself would echo the input.
        while !terminal.is_raw() {
            thread::sleep(Duration::from_millis(1));
        }
        Self { terminal, output, reader, messages }
    }

    /// Counts the occurrences of nvmm's `message`.
    fn count(&self, message: &str) -> usize {
        fs::read_to_string(&self.messages).unwrap_or_default().matches(message).count()
    }

    /// Pauses or continues the machine, and waits for the answer.
    fn press(&mut self, answer: &str) {
        let before = self.count(answer);
        self.terminal.user.write_all(PAUSE_KEY).unwrap();
        assert!(in_time(|| self.count(answer) > before), "nvmm did not print: {answer}");
    }

    /// Pauses it this many times, and lets it run for a moment in between.
    fn pause_often(&mut self) {
        for time in 0..TIMES {
            self.press(PAUSED);
            self.press(GOES_ON);
            thread::sleep(Duration::from_micros(time as u64 * 50));
        }
    }

    /// Waits for nvmm's end. Returns its status, and the guest's output.
    fn end(self) -> (Option<i32>, String) {
        let Self { mut terminal, output, reader, .. } = self;
        let status = terminal.program.status_in_time();
        drop(terminal);
        reader.join().unwrap();
        let output = std::mem::take(&mut *output.lock().unwrap());
        (status, String::from_utf8(output).unwrap().replace("\r\n", "\n"))
    }

    /// Sends a byte, and returns the guest's `number`th line after that.
    fn ask(&mut self, number: usize) -> String {
        self.terminal.user.write_all(b".").unwrap();
        let mut answer = None;
        let answers = || {
            let output = String::from_utf8(self.output.lock().unwrap().clone()).unwrap();
            let line = output.split_inclusive('\n').nth(number).filter(|line| line.ends_with('\n'));
            answer = line.map(|line| line.trim_end().to_owned());
            answer.is_some()
        };
        assert!(in_time(answers), "the guest did not answer");
        answer.unwrap()
    }
}

/// The processor time of all threads of a process, in ticks.
fn cpu_ticks(running: &Running) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.0.id())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The names of a process's threads.
fn threads(running: &Running) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", running.0.id())).unwrap();
    // A thread may have ended meanwhile.
    tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok()).collect()
}

#[test]
fn a_paused_machine_takes_no_time_and_what_is_typed_waits() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, "echo", &[]);
    machine.press(PAUSED);
    let before = cpu_ticks(&machine.terminal.program);
    thread::sleep(Duration::from_millis(300));
    // The guest only runs a loop.
    assert!(cpu_ticks(&machine.terminal.program) <= before + 1);
    machine.terminal.user.write_all(b"typed").unwrap();
    machine.press(GOES_ON);
    machine.terminal.user.write_all(b"q").unwrap();
    let (status, output) = machine.end();
    assert_eq!((status, output.as_str()), (Some(1), "ready\ntyped"), "the guest saw q");
}

#[test]
fn a_machine_that_starts_paused_waits_for_the_key() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, "echo", &["--paused"]);
    assert!(in_time(|| machine.count("waits before its first instruction") > 0), "nvmm did not print that");
    // The output would have arrived by then.
    thread::sleep(Duration::from_millis(20));
    assert!(machine.output.lock().unwrap().is_empty());
    assert!(threads(&machine.terminal.program).iter().all(|name| !name.starts_with("vcpu")));
    machine.press(GOES_ON);
    machine.terminal.user.write_all(b"q").unwrap();
    assert_eq!(machine.end(), (Some(1), "ready\n".to_owned()));
}

#[test]
fn the_key_is_refused_while_a_debugger_has_the_machine() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("gdb");
    let place = format!("unix:{}", socket.display());
    let mut machine = Machine::start(&folder, "echo", &["--gdb", &place]);
    let mut debugger = Remote::connect(&socket).unwrap();
    machine.press("the debugger has stopped the machine");
    debugger.tell("vCont;c").unwrap();
    let runs = || threads(&machine.terminal.program).iter().any(|name| name.starts_with("vcpu"));
    assert!(in_time(runs), "no vCPU was started");
    machine.press(PAUSED);
    // It can still be interrupted, and continues as the debugger asks.
    debugger.send(b"\x03").unwrap();
    assert!(debugger.answer().unwrap().starts_with("T02"));
    machine.press("the debugger has stopped the machine");
    debugger.order("D").unwrap();
    machine.terminal.user.write_all(b"q").unwrap();
    assert_eq!(machine.end(), (Some(1), "ready\n".to_owned()));
}

#[test]
fn a_paused_machine_ends_on_request() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, "spin", &["--smp", "2"]);
    machine.press(PAUSED);
    machine.terminal.user.write_all(QUIT_KEY).unwrap();
    assert_eq!(machine.end().0, Some(0));
    // A guest that would notice its power button, if it ran.
    let mut machine = Machine::start(&folder, "button", &[]);
    machine.press(PAUSED);
    kill_process(Pid::from_child(&machine.terminal.program.0), Signal::TERM).unwrap();
    assert_eq!(machine.end().0, Some(143));
}

/// A reset at the moment of a pause waits for the end of the pause.
#[test]
fn a_guest_that_resets_all_the_time_is_paused_all_the_same() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, "reboot", &["--cmdline", "a", "--smp", "2"]);
    for _ in 0..TIMES {
        machine.press(PAUSED);
        // The next machine would run by then.
        thread::sleep(Duration::from_millis(20));
        let vcpus = threads(&machine.terminal.program).into_iter().filter(|name| name.starts_with("vcpu"));
        assert_eq!(vcpus.count(), 0);
        machine.press(GOES_ON);
    }
    machine.terminal.user.write_all(QUIT_KEY).unwrap();
    assert_eq!(machine.end().0, Some(0));
}

/// Each round writes, flushes, and reads what the one before wrote.
#[test]
fn pauses_lose_no_request_of_a_disk() {
    for aio in ["io_uring", "threads"] {
        if no_kvm() {
            return;
        }
        let folder = TempDir::new().unwrap();
        let disk = folder.path().join("disk");
        fs::write(&disk, vec![0; 32 << 20]).unwrap();
        let disk = format!("path={},format=raw,aio={aio}", disk.display());
        let mut machine = Machine::start(&folder, "blk_durable", &["--cmdline", "1r", "--disk", &disk]);
        machine.pause_often();
        machine.terminal.user.write_all(QUIT_KEY).unwrap();
        let (status, output) = machine.end();
        assert_eq!(status, Some(0));
        let (output, _cut_off) = output.rsplit_once('\n').unwrap();
        let mut lines = output.lines();
        assert_eq!(lines.next(), Some("ready"));
        assert!(lines.clone().count() > 1, "nothing was done: {output}");
        for (round, line) in (1..).zip(lines) {
            assert_eq!(line, format!("{round:x} 0 0 0 0"), "{aio}");
        }
    }
}

#[test]
fn pauses_lose_nothing_of_a_flood() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, "flood", &["--cmdline", "h"]);
    machine.pause_often();
    // Read only after the flood.
    machine.terminal.user.write_all(b"x").unwrap();
    let (status, output) = machine.end();
    assert_eq!(status, Some(0));
    let mut lines = output.lines();
    for number in 0..8 * 1024 {
        assert_eq!(lines.next().map(str::trim_end), Some(format!("{number:08x}").as_str()));
    }
    assert_eq!(lines.next(), Some("end"));
}

/// The guest's clock continues during a pause, no further than the host's; and the guest can detect the pause.
#[test]
fn a_pause_is_no_jump_of_the_guest_s_clock() {
    /// The most by which the rates of two clocks of one host may differ.
    const RATE: f64 = 1.001;
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, "clock", &[]);
    let ask = |machine: &mut Machine, number| {
        let line = machine.ask(number);
        let (time, paused) = line.split_once(' ').unwrap_or_else(|| panic!("the guest says {line:?}"));
        (Duration::from_nanos(u64::from_str_radix(time, 16).unwrap()), paused == "1")
    };
    let start = Instant::now();
    let (first, paused) = ask(&mut machine, 1);
    assert!(!paused, "nobody has paused it yet");
    let mut last = first;
    for number in 2..12 {
        machine.press(PAUSED);
        thread::sleep(Duration::from_millis(20));
        machine.press(GOES_ON);
        let (now, paused) = ask(&mut machine, number);
        assert!(now > last && paused, "{last:?}, then {now:?}; told of the pause: {paused}");
        last = now;
    }
    assert!(last - first <= start.elapsed().mul_f64(RATE), "{first:?} to {last:?}");
    machine.terminal.user.write_all(b"q").unwrap();
    assert_eq!(machine.end().0, Some(1));
}
