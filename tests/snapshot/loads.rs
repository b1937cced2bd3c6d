//! Saves at random moments of a guest that writes to its disk, answers in a network and echoes its input, all at the same time.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    blk_plan::mix,
    control::ctl,
    images::{Image, ImageKind},
    load::{Random, number},
    network::Namespace,
    networks::{Flood, NET, restored},
    support::{Running, expect, guest, in_time, no_kvm},
    written,
};

/// The most bytes of input that wait for their echoes.
const AHEAD: u64 = 200;
/// The most bytes of input in a saved machine: 64 in the FIFO of vm-superio's UART, and one that the guest has read but not echoed.
const SAVED: u64 = 64 + 1;
/// The guest's line if a busy host is slow to send a frame.
const SLOW: &str = "not sent yet\n";

#[test]
fn all_of_them_go_on_after_each_save() {
    save_often(50);
}

#[test]
#[ignore = "takes minutes"]
fn all_of_them_go_on_after_200_saves() {
    save_often(200);
}

/// Saves a machine repeatedly, each time restored from the save before. After each save, the disk has what the guest says, every frame that
/// comes back is whole, and of the input that the UART had, no byte has changed or comes twice.
fn save_often(saves: u64) {
    if no_kvm() {
        return;
    }
    let Some(namespace) = Namespace::new() else { return };
    let Some(flood) = Flood::start(&namespace) else { return };
    let (saves, seed) = (number("NVMM_SAVES", saves), number("NVMM_SEED", 1));
    println!("NVMM_SEED={seed} NVMM_SAVES={saves}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let image = Image::new(ImageKind::Raw, folder.path(), "64k");
    let mut command = namespace.nvmm();
    command.arg("--kernel").arg(guest("loads")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--disk", &image.option(), "--net", NET]);
    let heard = Arc::<Mutex<Heard>>::default();
    for save in 0..=saves {
        let [old, new] = [save, save + 1].map(|number| folder.path().join(format!("snap{number}")));
        if save > 0 {
            command = restored(&namespace, folder.path(), &old, &mut random);
        }
        let mut machine = start(&mut command, folder.path());
        let mut stdout = machine.0.stdout.take().unwrap();
        if save == 0 {
            expect(&mut stdout, "ready\n");
        }
        heard.lock().unwrap().begin(save);
        let listener = listen(stdout, &heard);
        let typist = Typist::start(machine.0.stdin.take().unwrap(), save, Arc::clone(&heard));
        // Fewer frames than this were in flight before.
        let rounds = heard.lock().unwrap().rounds + 1 + random.below(4);
        let echoed = 50 + random.below(100);
        let answered = flood.answered() + 20 + random.below(20);
        let has_failed = || flood.has_failed() || listener.is_finished();
        let goes_on = in_time(|| {
            has_failed() || {
                let (now_rounds, now_echoed) = heard.lock().unwrap().counts();
                now_rounds >= rounds && now_echoed >= echoed && flood.answered() >= answered
            }
        });
        assert!(!has_failed(), "seed {seed}, save {save}");
        let now = heard.lock().unwrap().counts();
        assert!(
            goes_on,
            "seed {seed}, save {save}: {now:?} rounds and bytes of {rounds} and {echoed}, {} frames of {answered}",
            flood.answered()
        );
        thread::sleep(Duration::from_micros(random.below(30_000)));
        let socket = folder.path().join("qmp");
        // Unlike a signal, neither loses any of the guest's output.
        let ends =
            if save < saves { vec!["snapshot", new.to_str().unwrap(), "--stop"] } else { vec!["quit"] };
        let output = ctl(&socket, &ends).output().unwrap();
        assert!(output.status.success(), "save {save}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(machine.status(), Some(0));
        listener.join().unwrap();
        typist.end();
        written::check(&heard.lock().unwrap().lines, &image);
        if save > 0 {
            fs::remove_dir_all(&old).unwrap();
        }
    }
    let answered = flood.end();
    let heard = heard.lock().unwrap();
    println!(
        "{saves} saves, {} rounds, {answered} datagrams came back, {} bytes were echoed, {} of them from a saved UART",
        heard.rounds, heard.total, heard.saved
    );
}

/// Starts a machine with a control socket in a folder.
fn start(command: &mut Command, folder: &Path) -> Running {
    let socket = folder.join("qmp");
    let _ = fs::remove_file(&socket);
    command.arg("--qmp").arg(&socket).current_dir(folder).stdin(Stdio::piped());
    let machine = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::inherit()));
    assert!(in_time(|| socket.exists()));
    machine
}

/// Returns input byte `number` of the machine that runs after `machine` saves. No line about a round has such a byte, and the machine before
/// gets others.
fn byte(machine: u64, number: u64) -> u8 {
    let first = if machine.is_multiple_of(2) { b'G' } else { b'Q' };
    first + u8::try_from(mix(machine << 32 | number) % 10).unwrap()
}

/// The guest's output so far.
#[derive(Debug, Default)]
struct Heard {
    /// The lines about rounds.
    lines: String,
    rounds: u64,
    /// The number of saves so far.
    machine: u64,
    /// The numbers of echoed bytes of the input of this machine, and of the one before.
    echoed: u64,
    echoed_before: u64,
    /// The bytes of the input of the machine before that this one has echoed: the saved UART had them.
    from_uart: u64,
    /// The sums over all machines.
    total: u64,
    saved: u64,
}

impl Heard {
    /// Begins to count the input of the machine that runs after `machine` saves.
    fn begin(&mut self, machine: u64) {
        (self.machine, self.echoed_before, self.echoed, self.from_uart) = (machine, self.echoed, 0, 0);
    }

    fn counts(&self) -> (u64, u64) {
        (self.rounds, self.echoed)
    }

    fn take(&mut self, bytes: &[u8]) {
        for &said in bytes {
            let is_new = (byte(self.machine, 0) < b'Q') == (said < b'Q');
            let (machine, number) = match said {
                b'G'..=b'Z' if is_new => (self.machine, &mut self.echoed),
                b'G'..=b'Z' => {
                    assert_eq!(self.echoed, 0, "the input of the machine before {} comes late", self.machine);
                    self.from_uart += 1;
                    self.saved += 1;
                    assert!(self.from_uart <= SAVED, "{} bytes after save {}", self.from_uart, self.machine);
                    (self.machine - 1, &mut self.echoed_before)
                }
                _ => {
                    self.lines.push(said.into());
                    if self.lines.ends_with(SLOW) {
                        self.lines.truncate(self.lines.len() - SLOW.len());
                    } else {
                        self.rounds += u64::from(said == b'\n');
                    }
                    continue;
                }
            };
            let expected = byte(machine, *number);
            assert_eq!(char::from(said), char::from(expected), "byte {number} of machine {machine}'s input");
            *number += 1;
            self.total += 1;
        }
    }
}

/// Reads a machine's output until its end.
fn listen(mut stdout: ChildStdout, heard: &Arc<Mutex<Heard>>) -> JoinHandle<()> {
    let heard = Arc::clone(heard);
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            match stdout.read(&mut bytes).unwrap() {
                0 => return,
                len => heard.lock().unwrap().take(&bytes[..len]),
            }
        }
    })
}

/// Writes input to a machine, always a few bytes ahead of the echoes, until its end.
struct Typist {
    is_over: Arc<AtomicBool>,
    worker: JoinHandle<()>,
}

impl Typist {
    fn start(mut stdin: ChildStdin, machine: u64, heard: Arc<Mutex<Heard>>) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let over = Arc::clone(&is_over);
        let worker = thread::spawn(move || {
            let mut written = 0;
            while !over.load(Ordering::Relaxed) {
                let Ok(echoed) = heard.lock().map(|heard| heard.echoed) else { return };
                let more: Vec<_> = (written..echoed + AHEAD).map(|number| byte(machine, number)).collect();
                // The machine has ended.
                if stdin.write_all(&more).is_err() {
                    return;
                }
                written += more.len() as u64;
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { is_over, worker }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.worker.join().unwrap();
    }
}
