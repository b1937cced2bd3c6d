//! Connections that break, and sides that are killed, at every step: exactly one side has the machine afterwards, never both.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::json;

use crate::{
    sides::{Side, place, waits_still},
    support::{in_time, no_kvm},
};

/// Message numbers, from `vmm::migration`.
const PAGES: u32 = 3;
const ZEROS: u32 = 4;
const GO: u32 = 7;
const RUNNING: u32 = 10;

/// Forwards messages between two sides, and cuts the connection in both directions at one of them.
struct Proxy {
    path: PathBuf,
    worker: JoinHandle<()>,
    /// The number of messages forwarded from the source, without those of memory.
    passed: Arc<AtomicUsize>,
}

/// The message at which the connection is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// At this message of the source, not counting memory.
    Source(usize),
    /// At this memory message of the source.
    Memory(usize),
    /// At this message of the destination.
    Destination(usize),
    /// In the middle of the source's message of this number.
    Middle(usize),
}

impl Proxy {
    fn start(folder: &Path, name: &str, to: &str, cut: Cut) -> Self {
        let path = folder.join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let to = folder.join(format!("{to}.in"));
        let passed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&passed);
        let worker = thread::spawn(move || {
            let (source, _) = listener.accept().unwrap();
            let destination = UnixStream::connect(to).unwrap();
            let ends = || [source.try_clone().unwrap(), destination.try_clone().unwrap()];
            let [back_to, back_from] = ends();
            let back = thread::spawn(move || {
                let mut seen = 0;
                pass(back_from, back_to, |_| {
                    seen += 1;
                    matches!(cut, Cut::Destination(at) if at == seen - 1).then_some(0)
                });
            });
            let [from, there] = ends();
            let mut memory = 0;
            pass(from, there, |kind| {
                if [PAGES, ZEROS].contains(&kind) {
                    memory += 1;
                    return matches!(cut, Cut::Memory(at) if at == memory - 1).then_some(0);
                }
                let number = counter.fetch_add(1, Ordering::SeqCst);
                match cut {
                    Cut::Source(at) if at == number => Some(0),
                    Cut::Middle(at) if at == number => Some(5),
                    _ => None,
                }
            });
            back.join().unwrap();
        });
        Self { path, worker, passed }
    }

    fn place(&self) -> String {
        format!("unix:{}", self.path.display())
    }
}

/// Forwards messages until `cut` returns a number; then forwards that many bytes of the message, and hangs up.
fn pass(mut from: UnixStream, mut to: UnixStream, mut cut: impl FnMut(u32) -> Option<usize>) {
    let mut header = [0; 12];
    while from.read_exact(&mut header).is_ok() {
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let mut content = vec![0; usize::try_from(word(4)).unwrap()];
        let cut = cut(word(0));
        if cut.is_none() && from.read_exact(&mut content).is_err() {
            break;
        }
        let message = [&header[..], &content].concat();
        if to.write_all(&message[..cut.unwrap_or(message.len())]).is_err() || cut.is_some() {
            break;
        }
    }
    for socket in [from, to] {
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

/// A machine with a disk, whose guest checks its state.
fn source(folder: &Path) -> Side {
    let disk = folder.join("disk");
    std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let disk = format!("path={},format=raw", disk.display());
    let mut source = Side::source(folder, "s", "snapshot", &["--disk", &disk]);
    source.prints("ready\n");
    source
}

fn state(side: &Side) -> String {
    let status = side.client().call("query-status", &json!({})).unwrap();
    status["status"].as_str().unwrap().to_owned()
}

/// Begin, Machine, Stopped, Machine, State, Go: any of them, or any answer, may not arrive.
#[test]
fn a_connection_that_breaks_before_the_word_leaves_the_machine_where_it_was() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = source(folder.path());
    let mut cuts: Vec<_> = (0..5).map(Cut::Source).collect();
    cuts.extend((0..6).map(Cut::Middle));
    cuts.extend([0, 1, 3].map(Cut::Memory));
    cuts.extend([0, 1].map(Cut::Destination));
    for (number, cut) in cuts.into_iter().enumerate() {
        let name = number.to_string();
        let mut destination = Side::destination(folder.path(), &name, &[]);
        let proxy = Proxy::start(folder.path(), &format!("{name}.p"), &name, cut);
        let said = source.refuses(&proxy.place(), &[]);
        if matches!(cut, Cut::Middle(5)) {
            // A part of the message: this side can't tell that it was incomplete.
            assert!(said.contains("did not answer"), "{cut:?}: {said}");
            assert_eq!(state(&source), "postmigrate");
            assert_eq!(destination.nvmm.status_in_time(), Some(1), "{cut:?}");
            source.client().call("cont", &json!({})).unwrap();
        } else {
            assert!(said.contains("was not moved: "), "{cut:?}: {said}");
            if matches!(cut, Cut::Source(0 | 1) | Cut::Middle(0 | 1)) {
                // It got no machine, so it waits for the next side.
                assert!(waits_still(folder.path(), &name), "{cut:?}");
                destination.nvmm.0.kill().unwrap();
            }
            assert_ne!(destination.nvmm.status_in_time(), Some(0), "{cut:?}");
            assert_eq!(state(&source), "running", "{cut:?}");
        }
        assert_eq!(source.ask(), "same", "{cut:?}");
        proxy.worker.join().unwrap();
    }
    // It can still be moved.
    let mut last = Side::destination(folder.path(), "last", &[]);
    source.moves(&place(folder.path(), "last"), &["verify=on"]);
    assert_eq!(last.ask(), "same");
    last.quit();
}

/// The message arrives, but the answer does not.
#[test]
fn a_connection_that_breaks_after_the_word_has_it_run_there_alone() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = source(folder.path());
    let mut destination = Side::destination(folder.path(), "d", &[]);
    let proxy = Proxy::start(folder.path(), "p", "d", Cut::Destination(2));
    let said = source.refuses(&proxy.place(), &[]);
    assert!(said.contains("did not answer"), "{said}");
    assert_eq!(destination.ask(), "same");
    assert_eq!(state(&source), "postmigrate");
    assert_eq!(proxy.passed.load(Ordering::SeqCst), 6, "{RUNNING} of the answers was cut, and {GO} went");
    // The other side has its disk.
    let mut client = source.client();
    let why = client.call("cont", &json!({})).unwrap_err();
    assert!(why.contains("is in use by nvmm"), "{why}");
    assert!(client.call("system_reset", &json!({})).is_err());
    assert!(client.call("nvmm-snapshot-save", &json!({"directory": "/nowhere"})).is_err());
    destination.quit();
    // Now no other nvmm has it.
    client.call("cont", &json!({})).unwrap();
    assert_eq!(source.ask(), "same");
    source.quit();
    proxy.worker.join().unwrap();
}

/// Kills the destination at many moments: the source continues, or has ended normally after it handed over the machine.
#[test]
fn a_destination_that_is_killed_leaves_the_machine_where_it_was() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source =
        Side::source(folder.path(), "s", "moving", &["--cmdline", "d", "--fw-cfg", "name=opt/a,string=b"]);
    source.prints("ready\n");
    let mut kept = 0;
    for number in 0..10 {
        let name = number.to_string();
        let mut destination = Side::destination(folder.path(), &name, &[]);
        let place = place(folder.path(), &name);
        let mut command = crate::control::ctl(&source.socket, &["migrate", &place]);
        let mut ctl = crate::support::Running::start(command.stderr(std::process::Stdio::null()));
        thread::sleep(std::time::Duration::from_millis(25 * number));
        destination.nvmm.0.kill().unwrap();
        destination.nvmm.status();
        match ctl.status() {
            Some(0) => {
                // It was too late: the machine had moved, and ended with the killed nvmm.
                assert_eq!(source.nvmm.status_in_time(), Some(0));
                break;
            }
            status => {
                assert_eq!(status, Some(1));
                kept += 1;
                assert!(in_time(|| state(&source) == "running"));
                assert_eq!(source.ask(), "same");
            }
        }
    }
    println!("kept {kept} times");
    assert!(kept > 0);
}

/// Kills the source at many moments: either the machine ends with it, as always, or it runs at the destination.
#[test]
fn a_source_that_is_killed_leaves_no_half_a_machine() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for number in 0..8 {
        let name = format!("s{number}");
        let mut source = Side::source(folder.path(), &name, "snapshot", &[]);
        source.prints("ready\n");
        let to = format!("d{number}");
        let mut destination = Side::destination(folder.path(), &to, &[]);
        let place = place(folder.path(), &to);
        let mut command = crate::control::ctl(&source.socket, &["migrate", &place]);
        let mut ctl = crate::support::Running::start(command.stderr(std::process::Stdio::null()));
        thread::sleep(std::time::Duration::from_millis(30 * number));
        source.nvmm.0.kill().unwrap();
        source.nvmm.status();
        ctl.status();
        if waits_still(folder.path(), &to) {
            continue;
        }
        // The destination ends without a machine, or has all of it.
        let mut answer = String::new();
        let asked = destination.nvmm.0.stdin.as_mut().unwrap().write_all(b".q");
        destination.nvmm.0.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
        let status = destination.nvmm.status_in_time();
        match answer.as_str() {
            "same\n" => assert!(asked.is_ok()),
            "" => assert_eq!(status, Some(1)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_machine_whose_migration_is_cancelled_goes_on() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = Side::source(folder.path(), "s", "snapshot", &[]);
    source.prints("ready\n");
    // No server answers there.
    let path = folder.path().join("silent");
    let listener = UnixListener::bind(&path).unwrap();
    let place = format!("unix:{}", path.display());
    let mut command = crate::control::ctl(&source.socket, &["migrate", &place]);
    let mut ctl = crate::support::Running::start(&mut command);
    let (silent, _) = listener.accept().unwrap();
    let mut client = source.client();
    assert!(in_time(|| client.call("query-migrate", &json!({})).unwrap()["status"] == "setup"));
    let why = client.call("migrate", &json!({"uri": "fd:x"})).unwrap_err();
    assert!(why.contains("'x' not found"), "{why}");
    client.call("migrate_cancel", &json!({})).unwrap();
    assert_eq!(ctl.status(), Some(1));
    assert_eq!(client.call("query-migrate", &json!({})).unwrap()["status"], "cancelled");
    assert_eq!(source.ask(), "same");
    drop(silent);
    source.quit();
}

/// Connections that send anything else have no effect.
#[test]
fn strangers_are_turned_away() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut destination = Side::destination(folder.path(), "d", &[]);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100], b""] {
        let mut stranger = UnixStream::connect(folder.path().join("d.in")).unwrap();
        let _ = stranger.write_all(bytes);
        stranger.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
    }
    let mut source = Side::source(folder.path(), "s", "snapshot", &[]);
    source.prints("ready\n");
    source.moves(&place(folder.path(), "d"), &["verify=on"]);
    assert_eq!(destination.ask(), "same");
    destination.quit();
}
