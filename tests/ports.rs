//! Several serial ports at once: none blocks another, a vCPU or the main thread.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::{Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use support::{Running, expect, guest, in_time, no_kvm, nvmm};
use tempfile::TempDir;

/// A guest with COM1 on pipes, and sockets for the other ports.
struct Machine {
    nvmm: Running,
    stdin: ChildStdin,
    stdout: ChildStdout,
    sockets: Vec<PathBuf>,
    _folder: TempDir,
}

impl Machine {
    fn start(name: &str, sockets: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets: Vec<_> = (2..2 + sockets).map(|n| folder.path().join(format!("com{n}"))).collect();
        let mut command = nvmm();
        command.arg("--kernel").arg(guest(name)).args(["--debug-exit", "0xf4", "--memory", "16M"]);
        command.args(["--serial", "stdio"]);
        for socket in &sockets {
            command.args(["--serial", &format!("unix={},server", socket.display())]);
        }
        let mut nvmm = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (stdin, mut stdout) = (nvmm.0.stdin.take().unwrap(), nvmm.0.stdout.take().unwrap());
        // The sockets exist before the guest runs.
        expect(&mut stdout, "ready\n");
        Self { nvmm, stdin, stdout, sockets, _folder: folder }
    }

    fn connect(&self) -> Vec<UnixStream> {
        self.sockets.iter().map(|path| UnixStream::connect(path).unwrap()).collect()
    }

    fn send(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Makes the guest echo a line on COM1.
    fn echo(&mut self, text: &str) {
        self.send(text);
        assert!(expect(&mut self.stdout, text).ends_with(text));
    }

    fn end(mut self) {
        self.send("q");
        assert_eq!(self.nvmm.status_in_time(), Some(1));
    }

    /// Waits until nvmm has this many descriptors and threads: a thread that was joined may exist for a moment longer.
    fn wait_until_it_holds(&self, held: (usize, usize)) {
        assert!(in_time(|| self.holds() == held), "nvmm has {:?} instead of {held:?}", self.holds());
    }

    /// The numbers of nvmm's descriptors and threads.
    fn holds(&self) -> (usize, usize) {
        let count = |what| fs::read_dir(Path::new("/proc").join(self.nvmm.0.id().to_string()).join(what));
        (count("fd").unwrap().count(), count("task").unwrap().count())
    }
}

#[test]
fn unread_output_stops_no_other_port() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("port_flood", 1);
    // First without a peer, then with one that never reads.
    (0..50).for_each(|n| machine.echo(&format!("line {n}\n")));
    let unread = machine.connect();
    (0..50).for_each(|n| machine.echo(&format!("more {n}\n")));
    drop(unread);
    (0..50).for_each(|n| machine.echo(&format!("gone {n}\n")));
    machine.end();
}

#[test]
fn signals_are_handled_during_a_flood() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("port_flood", 1);
    let _unread = machine.connect();
    machine.echo("abc\n");
    kill_process(Pid::from_child(&machine.nvmm.0), Signal::INT).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(130));
}

/// Sends constantly until `done`, and reads the echo. Returns the number of bytes that came back.
fn flood(mut peer: UnixStream, done: &AtomicBool) -> usize {
    let mut reader = peer.try_clone().unwrap();
    // Don't block on a guest that is busy with another port.
    reader.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    peer.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut back, mut buffer) = (0, [0; 4096]);
    while !done.load(Ordering::SeqCst) {
        let _full = peer.write(&[b'.'; 512]);
        back += reader.read(&mut buffer).unwrap_or(0);
    }
    back
}

#[test]
fn input_without_end_starves_no_other_port() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("ports", 3);
    let mut floods = machine.connect();
    let mut quiet = floods.pop().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let floods: Vec<_> = floods.drain(..).map(|peer| scope.spawn(|| flood(peer, &done))).collect();
        for n in 0..20 {
            machine.echo(&format!("line {n}\n"));
            echo(&mut quiet, &format!("and {n}\n"));
        }
        done.store(true, Ordering::SeqCst);
        for flood in floods {
            assert!(flood.join().unwrap() > 0);
        }
    });
    machine.end();
}

/// A sleeping guest would not wake up if an interrupt were lost.
#[test]
fn ports_share_interrupt_lines_and_lose_no_interrupt() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("port_irqs", 3);
    let mut peers = machine.connect();
    for n in 0..100 {
        let line = format!("line {n}{}\n", ".".repeat(n));
        machine.send(&line);
        for peer in &mut peers {
            peer.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(expect(&mut machine.stdout, "\n"), line);
        for peer in &mut peers {
            assert_eq!(expect(peer, "\n"), line);
        }
    }
    machine.send("q");
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

fn echo(peer: &mut (impl Read + Write + AsFd), text: &str) {
    peer.write_all(text.as_bytes()).unwrap();
    assert!(expect(peer, text).ends_with(text));
}

#[test]
fn ports_outlive_resets_and_nothing_grows() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("ports", 3);
    let mut peers = machine.connect();
    let mut held = None;
    for n in 0..20 {
        machine.echo(&format!("line {n}\n"));
        for (com, peer) in (2..).zip(&mut peers) {
            let said = expect(peer, &format!("COM{com} ready\n"));
            assert_eq!(said.len(), "COM2 ready\n".len(), "after reset {n}: {said:?}");
            echo(peer, &format!("COM{com}, {n}\n"));
        }
        // All outputs have started their threads by now.
        match held {
            None => held = Some(machine.holds()),
            Some(held) => machine.wait_until_it_holds(held),
        }
        machine.send("R");
        expect(&mut machine.stdout, "COM1 ready\n");
    }
    machine.end();
}
