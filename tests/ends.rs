//! The end of a machine, whatever nvmm is waiting for: output that nothing reads, a file that does not open, a reset, a guest that ignores
//! its power button.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![expect(unsafe_code, reason = "system calls that no crate has")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs,
    io::{self, Read, Write},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat},
    process::{Pid, Signal, kill_process},
    termios::{LocalModes, OutputModes},
};
use support::{Running, expect, guest, in_time, no_kvm, nvmm};
use terminal::Terminal;

fn machine(name: &str) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest(name)).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits long enough that the next signal counts as a new one.
fn a_while() {
    thread::sleep(Duration::from_millis(1300));
}

/// A full pipe, and its other end.
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    // The flag is shared with the processes that inherit this end.
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

#[test]
fn no_signal_is_missed_while_output_is_unread() {
    if no_kvm() {
        return;
    }
    for (end, status) in [(Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143)] {
        let (_unread, full) = full_pipe();
        let mut child = Running::start(machine("flood").args(["--cmdline", "."]).stdout(full));
        thread::sleep(Duration::from_millis(300));
        signal(&child.0, end);
        assert_eq!(child.status_in_time(), Some(status), "{end:?}");
    }
}

#[test]
fn no_signal_is_missed_while_messages_are_unread() {
    if no_kvm() {
        return;
    }
    let (_unread, full) = full_pipe();
    let mut child =
        Running::start(machine("late").arg("-v").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(full));
    let mut stdout = child.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    signal(&child.0, Signal::USR1);
    signal(&child.0, Signal::TERM);
    expect(&mut stdout, "button\n");
    signal(&child.0, Signal::INT);
    assert_eq!(child.status_in_time(), Some(130));
}

#[test]
fn unread_messages_keep_no_guest_from_powering_off() {
    if no_kvm() {
        return;
    }
    let (_unread, full) = full_pipe();
    let mut child = Running::start(machine("power_off").arg("-v").stderr(full));
    assert_eq!(child.status_in_time(), Some(0));
}

#[test]
fn ctrl_a_x_works_on_a_terminal_that_takes_no_output() {
    if no_kvm() {
        return;
    }
    let mut command = machine("flood");
    command.args(["--cmdline", "."]);
    let mut terminal = Terminal::start(command);
    expect(&mut terminal.user, "00000010");
    // By now the terminal is full: a guest prints faster than this.
    thread::sleep(Duration::from_millis(300));
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.program.status_in_time(), Some(0));
}

#[test]
fn ctrl_a_x_works_behind_input_that_the_guest_does_not_read() {
    if no_kvm() {
        return;
    }
    let mut terminal = Terminal::start(machine("late"));
    expect(&mut terminal.user, "ready\r\n");
    terminal.user.write_all(&[b'.'; 1000]).unwrap();
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.program.status_in_time(), Some(0));
}

#[test]
fn a_slow_reader_misses_nothing() {
    if no_kvm() {
        return;
    }
    let mut child = Running::start(
        machine("flood").args(["--cmdline", "b"]).stdin(Stdio::piped()).stdout(Stdio::piped()),
    );
    child.0.stdin.take().unwrap().write_all(b".").unwrap();
    // The pipe takes 64 KiB of it.
    a_while();
    let mut text = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.status_in_time(), Some(0));
    assert_eq!(text.len(), (2 << 16) + 4);
    for (number, line) in text.lines().take(2 << 10).enumerate() {
        assert_eq!(line.trim_end(), format!("{number:08x}"));
    }
    assert!(text.ends_with("\nend\n"));
}

#[test]
fn a_file_misses_nothing() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serial");
    let mut child = Running::start(
        machine("flood").args(["--cmdline", "a", "--serial"]).arg(format!("file={}", file.display())),
    );
    assert!(in_time(|| fs::read(&file).unwrap_or_default().ends_with(b"end\n")));
    assert_eq!(fs::metadata(&file).unwrap().len(), (1 << 16) + 4);
    signal(&child.0, Signal::INT);
    assert_eq!(child.status_in_time(), Some(130));
}

#[test]
fn signals_end_nvmm_while_the_machine_is_built() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let serial = format!("file={}", fifo.display());
    for (end, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let mut kernel = nvmm();
        kernel.arg("--kernel").arg(&fifo);
        let mut output = machine("late");
        output.args(["--serial", &serial]);
        for mut command in [kernel, output] {
            let mut child = Running::start(&mut command);
            wait_until_blocked(&child.0);
            signal(&child.0, end);
            assert_eq!(child.status_in_time(), Some(status), "{command:?}, {end:?}");
        }
    }
}

/// Waits until a thread of the process blocks on opening a FIFO.
fn wait_until_blocked(child: &Child) {
    let blocked = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
        tasks
            .map(|task| fs::read_to_string(task.path().join("syscall")).unwrap_or_default())
            // openat
            .any(|call| call.starts_with("257 "))
    };
    assert!(in_time(blocked));
}

#[test]
fn sigterm_ends_a_guest_that_listens_to_no_button() {
    if no_kvm() {
        return;
    }
    for (guest, ready) in [("echo", "ready\n"), ("reboot", "boot\nboot\nboot\n")] {
        let mut child = Running::start(
            machine(guest).args(["--cmdline", "a"]).stdin(Stdio::piped()).stdout(Stdio::piped()),
        );
        expect(child.0.stdout.as_mut().unwrap(), ready);
        signal(&child.0, Signal::TERM);
        assert_eq!(child.status_in_time(), Some(143), "{guest}");
    }
}

/// A guest that resets the machine as fast as it can, so that signals arrive at any moment of a reset.
fn endlessly_reset() -> Running {
    let mut child = Running::start(
        machine("reboot").args(["--cmdline", "a"]).stdout(Stdio::piped()).stderr(Stdio::piped()),
    );
    expect(child.0.stdout.as_mut().unwrap(), "boot\nboot\n");
    // Unread output is lost, and blocks nothing.
    child
}

#[test]
fn no_question_is_lost_in_a_reset() {
    if no_kvm() {
        return;
    }
    let mut child = endlessly_reset();
    let mut messages = child.0.stderr.take().unwrap();
    for delay in 0..60 {
        thread::sleep(Duration::from_micros(delay * 300));
        signal(&child.0, Signal::USR1);
        expect(&mut messages, "there are no disks and no network devices\n");
    }
    signal(&child.0, Signal::INT);
    assert_eq!(child.status_in_time(), Some(130));
}

#[test]
fn a_reset_is_interrupted_at_any_moment() {
    if no_kvm() {
        return;
    }
    for (round, (end, status)) in
        (0..).zip([(Signal::INT, 130), (Signal::TERM, 143), (Signal::QUIT, 131)].iter().cycle().take(18))
    {
        let mut child = endlessly_reset();
        thread::sleep(Duration::from_micros(round * 700));
        signal(&child.0, *end);
        assert_eq!(child.status_in_time(), Some(*status), "{end:?}");
    }
}

#[test]
fn questions_are_answered_once_the_machine_runs() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut child = Running::start(
        nvmm().arg("--kernel").arg(&fifo).args(["--memory", "16M", "-v"]).stderr(Stdio::piped()),
    );
    wait_until_blocked(&child.0);
    signal(&child.0, Signal::USR1);
    signal(&child.0, Signal::HUP);
    a_while();
    fs::write(&fifo, fs::read(guest("late")).unwrap()).unwrap();
    let mut messages = child.0.stderr.take().unwrap();
    let mut said = String::new();
    while !(said.contains("there are no disks and no network devices\n")
        && said.contains("no disk has grown\n"))
    {
        said += &expect(&mut messages, "\n");
    }
    signal(&child.0, Signal::INT);
    assert_eq!(child.status_in_time(), Some(130));
}

/// The guest `late` after the power button was pressed, and its output.
fn pressed(options: &[&str]) -> (Running, std::process::ChildStdout) {
    let mut child =
        Running::start(machine("late").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdout = child.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    signal(&child.0, Signal::TERM);
    expect(&mut stdout, "button\n");
    (child, stdout)
}

fn send(child: &mut Running, text: &[u8]) {
    child.0.stdin.as_mut().unwrap().write_all(text).unwrap();
}

#[test]
fn the_press_outlives_a_reset() {
    if no_kvm() {
        return;
    }
    let (mut child, mut stdout) = pressed(&[]);
    for _ in 0..3 {
        send(&mut child, b"R");
        assert_eq!(expect(&mut stdout, "button\n"), "ready\nbutton\n");
    }
    send(&mut child, b"o");
    assert_eq!(child.status_in_time(), Some(0));
}

#[test]
fn two_signals_at_once_are_one_wish() {
    if no_kvm() {
        return;
    }
    let (mut child, mut stdout) = pressed(&[]);
    signal(&child.0, Signal::TERM);
    thread::sleep(Duration::from_millis(30));
    signal(&child.0, Signal::TERM);
    send(&mut child, b"..e");
    expect(&mut stdout, "2 5c0\n");
    send(&mut child, b"o");
    assert_eq!(child.status_in_time(), Some(0));
}

#[test]
fn a_later_sigterm_ends_nvmm() {
    if no_kvm() {
        return;
    }
    let (mut child, _stdout) = pressed(&["--grace", "3600"]);
    a_while();
    signal(&child.0, Signal::TERM);
    assert_eq!(child.status_in_time(), Some(143));
}

#[test]
fn grace_bounds_the_wait_for_the_guest() {
    if no_kvm() {
        return;
    }
    let (mut child, _stdout) = pressed(&["--grace", "1"]);
    assert_eq!(child.status_in_time(), Some(143));
    // A reset doesn't change that either.
    let (mut child, _stdout) = pressed(&["--grace", "2"]);
    send(&mut child, b"R");
    assert_eq!(child.status_in_time(), Some(143));
    let mut child =
        Running::start(machine("late").args(["--grace", "0"]).stdin(Stdio::piped()).stdout(Stdio::piped()));
    expect(child.0.stdout.as_mut().unwrap(), "ready\n");
    signal(&child.0, Signal::TERM);
    assert_eq!(child.status_in_time(), Some(143));
}

#[test]
fn a_paste_waits_for_a_guest_that_does_not_read() {
    if no_kvm() {
        return;
    }
    let text: Vec<u8> = (0..65536_u32).map(|n| b"0123456789abcdfg"[(n * 7 % 16) as usize]).collect();
    let sum = text.iter().fold(0_u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let mut terminal = Terminal::start(machine("late"));
    expect(&mut terminal.user, "ready\r\n");
    terminal.user.write_all(&text).unwrap();
    terminal.user.write_all(b"e").unwrap();
    signal(&terminal.program.0, Signal::TERM);
    expect(&mut terminal.user, "button\r\n");
    assert_eq!(expect(&mut terminal.user, "\r\n"), format!("10000 {sum:x}\r\n"));
    terminal.user.write_all(b"o").unwrap();
    assert_eq!(terminal.program.status_in_time(), Some(0));
}

#[test]
fn input_that_came_before_a_reset_waits_for_no_key() {
    if no_kvm() {
        return;
    }
    let mut child = Running::start(machine("late").stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdout = child.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    // Bytes that the port has taken are lost with it; the rest is kept.
    let mut text = vec![b'.'; 200];
    text[0] = b'R';
    text.push(b'e');
    send(&mut child, &text);
    thread::sleep(Duration::from_millis(300));
    signal(&child.0, Signal::TERM);
    expect(&mut stdout, "ready\nbutton\n");
    let said = expect(&mut stdout, "\n");
    let len = said.split(' ').next().and_then(|len| u32::from_str_radix(len, 16).ok());
    assert!(len.is_some_and(|len| (100..200).contains(&len)), "{said}");
    send(&mut child, b"o");
    assert_eq!(child.status_in_time(), Some(0));
}

#[test]
fn a_stray_kick_stops_no_vcpu() {
    if no_kvm() {
        return;
    }
    let mut child = Running::start(machine("echo").stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdout = child.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    for _ in 0..3 {
        let tasks = fs::read_dir(format!("/proc/{}/task", child.0.id())).unwrap();
        for task in tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse::<i32>().unwrap()) {
            // SAFETY: a system call without pointers.
            let sent = unsafe { libc::syscall(libc::SYS_tgkill, child.0.id(), task, libc::SIGRTMIN()) };
            assert_eq!(sent, 0);
        }
        send(&mut child, b"abc");
        expect(&mut stdout, "abc");
    }
    send(&mut child, b"q");
    assert_eq!(child.status_in_time(), Some(1));
}

#[test]
fn the_terminal_is_given_back_after_every_signal_that_can_be_caught() {
    if no_kvm() {
        return;
    }
    let deadly = [
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGALRM,
        libc::SIGSTKFLT,
        libc::SIGXCPU,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPWR,
        libc::SIGSYS,
        libc::SIGRTMIN() + 1,
        libc::SIGRTMIN() + 7,
        libc::SIGRTMAX(),
    ];
    for number in deadly {
        let mut terminal = Terminal::start(machine("echo"));
        expect(&mut terminal.user, "ready\r\n");
        assert!(terminal.is_raw());
        let pid = i32::try_from(terminal.program.0.id()).unwrap();
        // SAFETY: a system call without pointers.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
        let ended = terminal.program.0.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(number));
        assert!(!terminal.is_raw(), "after signal {number}");
    }
}

/// A shell with job control that starts nvmm, reports when nvmm has stopped, and continues it after a line of input.
fn in_a_shell() -> (Terminal, Pid) {
    let script = "\"$@\"; echo stopped; read line; fg; echo status $?";
    let command = machine("echo");
    let mut shell = Command::new("dash");
    shell.args(["-mc", script, "dash"]).arg(command.get_program()).args(command.get_args());
    let mut terminal = Terminal::start(shell);
    expect(&mut terminal.user, "ready\r\n");
    let shell = terminal.program.0.id();
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let pid = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    (terminal, pid)
}

#[test]
fn a_stopped_nvmm_lets_go_of_the_terminal_and_takes_it_again() {
    if no_kvm() {
        return;
    }
    for stop in [Signal::TSTP, Signal::STOP] {
        let (mut terminal, nvmm) = in_a_shell();
        assert!(terminal.is_raw());
        kill_process(nvmm, stop).unwrap();
        expect(&mut terminal.user, "stopped");
        let mut modes = terminal.modes();
        if stop == Signal::TSTP {
            assert!(!terminal.is_raw(), "stopped");
        } else {
            // nvmm could not know about this change; shells handle it.
            modes.local_modes |= LocalModes::ICANON | LocalModes::ECHO;
            modes.input_modes |= rustix::termios::InputModes::ICRNL;
            modes.output_modes |= OutputModes::OPOST;
            terminal.set_modes(&modes);
        }
        terminal.user.write_all(b"\n").unwrap();
        assert!(in_time(|| terminal.is_raw()));
        terminal.user.write_all(b"abc").unwrap();
        expect(&mut terminal.user, "abc");
        terminal.user.write_all(b"\x01x").unwrap();
        expect(&mut terminal.user, "status 0\r\n");
        assert!(!terminal.is_raw(), "at the end");
    }
}

/// nvmm leads its session, so that no shell could continue it.
#[test]
fn an_nvmm_that_can_not_be_stopped_keeps_the_terminal() {
    if no_kvm() {
        return;
    }
    let mut terminal = Terminal::start(machine("echo"));
    expect(&mut terminal.user, "ready\r\n");
    assert!(terminal.is_raw());
    signal(&terminal.program.0, Signal::TSTP);
    terminal.user.write_all(b"abc").unwrap();
    expect(&mut terminal.user, "abc");
    assert!(in_time(|| terminal.is_raw()));
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.program.status_in_time(), Some(0));
}

/// The warning is about settings in the file that are not supported, and it comes before anything else.
#[test]
fn a_warning_before_the_start_takes_no_signal_away() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("domain.xml");
    let hyperv = "<features><hyperv><relaxed state='on'/></hyperv></features>";
    fs::write(&file, format!("<domain>{hyperv}<cpu mode='host-passthrough'/></domain>")).unwrap();
    let mut child = Running::start(
        machine("late")
            .args(["--cpu", &format!("file:{}", file.display())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut messages = child.0.stderr.take().unwrap();
    expect(&mut messages, "Hyper-V");
    let mut stdout = child.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    // Each signal may go to any thread that does not block it.
    for _ in 0..20 {
        signal(&child.0, Signal::USR1);
        signal(&child.0, Signal::HUP);
        thread::sleep(Duration::from_millis(5));
    }
    signal(&child.0, Signal::TERM);
    expect(&mut stdout, "button\n");
    signal(&child.0, Signal::INT);
    assert_eq!(child.status_in_time(), Some(130));
}

#[test]
fn nvmm_in_the_background_waits_for_its_terminal() {
    if no_kvm() {
        return;
    }
    let command = machine("echo");
    let mut shell = Command::new("dash");
    let script = "\"$@\" & read line; echo read $line; fg; echo status $?";
    shell.args(["-mc", script, "dash"]).arg(command.get_program()).args(command.get_args());
    let mut terminal = Terminal::start(shell);
    expect(&mut terminal.user, "ready\r\n");
    assert!(!terminal.is_raw());
    terminal.user.write_all(b"line\n").unwrap();
    expect(&mut terminal.user, "read line");
    assert!(in_time(|| terminal.is_raw()));
    terminal.user.write_all(b"abc").unwrap();
    expect(&mut terminal.user, "abc");
    terminal.user.write_all(b"\x01x").unwrap();
    expect(&mut terminal.user, "status 0\r\n");
}

#[test]
fn a_hang_up_does_not_end_an_nvmm_that_ignores_it() {
    if no_kvm() {
        return;
    }
    let command = machine("echo");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    let mut terminal = Terminal::start(shell);
    expect(&mut terminal.user, "ready\r\n");
    let Terminal { user, guest, mut program } = terminal;
    drop(user);
    a_while();
    assert!(program.0.try_wait().unwrap().is_none());
    signal(&program.0, Signal::INT);
    assert_eq!(program.status_in_time(), Some(130));
    drop(guest);
}
