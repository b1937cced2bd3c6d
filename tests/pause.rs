//! A machine that is paused and goes on, by Ctrl-A p.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    process::Command,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use support::{Running, guest, no_kvm, nvmm};
use tempfile::TempDir;
use terminal::Terminal;

const PAUSE_KEY: &[u8] = b"\x01p";
const QUIT_KEY: &[u8] = b"\x01x";
const TIMES: usize = 100;
const PAUSED: &str = "the machine is paused";
const GOES_ON: &str = "the machine goes on";

/// A machine whose console is a terminal, which is read all the time, and whose messages go to a file.
struct Machine {
    terminal: Terminal,
    output: JoinHandle<Vec<u8>>,
    messages: PathBuf,
}

impl Machine {
    fn start(folder: &TempDir, name: &str, options: &[&str]) -> Self {
        let messages = folder.path().join("messages");
        let mut command = Command::new("sh");
        // Only a shell can tell the two streams of a terminal apart.
        command.args(["-c", "messages=$1; shift; exec \"$@\" 2>\"$messages\"", "sh"]).arg(&messages);
        command.arg(nvmm().get_program()).arg("--kernel").arg(guest(name));
        command.args(["--debug-exit", "0xf4", "--memory", "16M"]).args(options);
        let terminal = Terminal::start(command);
        let mut reader = terminal.user.try_clone().unwrap();
        let output = thread::spawn(move || {
            let mut seen = Vec::new();
            let mut bytes = [0; 4096];
            // The terminal's end is an error.
            while let Ok(len) = reader.read(&mut bytes) {
                seen.extend(&bytes[..len]);
            }
            seen
        });
        // The terminal itself would answer to what is typed before.
        while !terminal.is_raw() {
            thread::sleep(Duration::from_millis(1));
        }
        Self { terminal, output, messages }
    }

    /// How often nvmm has said `message`.
    fn count(&self, message: &str) -> usize {
        fs::read_to_string(&self.messages).unwrap_or_default().matches(message).count()
    }

    /// Pauses the machine, or lets it go on, and waits for the answer.
    fn press(&mut self, answer: &str) {
        let before = self.count(answer);
        self.terminal.user.write_all(PAUSE_KEY).unwrap();
        let asked = Instant::now();
        while self.count(answer) == before {
            assert!(asked.elapsed() < Duration::from_secs(60), "nvmm has not said: {answer}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Pauses it so often, and lets it run for a moment each time.
    fn pause_often(&mut self) {
        for time in 0..TIMES {
            self.press(PAUSED);
            self.press(GOES_ON);
            thread::sleep(Duration::from_micros(time as u64 * 50));
        }
    }

    /// Waits for nvmm's end. Returns its status, and the guest's output.
    fn end(self) -> (Option<i32>, String) {
        let Self { mut terminal, output, .. } = self;
        let status = terminal.program.status_in_time();
        drop(terminal);
        (status, String::from_utf8(output.join().unwrap()).unwrap().replace("\r\n", "\n"))
    }
}

/// Ticks of processor time that a process has used, all threads together.
fn cpu_ticks(running: &Running) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.0.id())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
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
    // The guest does nothing but loop.
    assert!(cpu_ticks(&machine.terminal.program) <= before + 1);
    machine.terminal.user.write_all(b"typed").unwrap();
    machine.press(GOES_ON);
    machine.terminal.user.write_all(b"q").unwrap();
    let (status, output) = machine.end();
    assert_eq!((status, output.as_str()), (Some(1), "ready\ntyped"), "the guest saw q");
}

#[test]
fn a_paused_machine_ends_when_it_is_told_to() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, "spin", &["--smp", "2"]);
    machine.press(PAUSED);
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
    // Only read once the flood is over.
    machine.terminal.user.write_all(b"x").unwrap();
    let (status, output) = machine.end();
    assert_eq!(status, Some(0));
    let mut lines = output.lines();
    for number in 0..8 * 1024 {
        assert_eq!(lines.next().map(str::trim_end), Some(format!("{number:08x}").as_str()));
    }
    assert_eq!(lines.next(), Some("end"));
}
