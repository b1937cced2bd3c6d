//! Saves of a machine that echoes all frames, while many arrive.

use std::{
    collections::BTreeMap,
    fs,
    net::UdpSocket,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    blk_plan::mix,
    control::ctl,
    load::{Random, number, start},
    network::Namespace,
    saved::{WAYS, restore},
    support::{expect, guest, in_time, no_kvm},
};

pub(crate) const NET: &str = "bridge=br0,mac=52:54:00:00:00:02,id=lan";
/// The number of datagrams in flight.
const DEPTH: usize = 6;

/// A thread that sends datagrams to 10.0.0.2 and compares the echoes, until told to stop. A network may lose some.
pub(crate) struct Flood {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    worker: JoinHandle<()>,
}

/// The datagram of this number.
fn datagram(number: u64) -> Vec<u8> {
    let len = 16 + mix(number) % 1200;
    let words = (0..len.div_ceil(8)).flat_map(|at| mix(number.wrapping_mul(0x1_0001) + at).to_le_bytes());
    number.to_le_bytes().into_iter().chain(words).collect()
}

impl Flood {
    /// Starts it in a network, or prints a reason if that is not possible; then the test is skipped.
    pub(crate) fn start(namespace: &Namespace) -> Option<Self> {
        let socket = namespace.socket()?;
        socket.connect("10.0.0.2:7").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (is_over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&answered));
        let worker = thread::spawn(move || Self::run(&socket, &over, &count));
        Some(Self { is_over, answered, worker })
    }

    /// The number of datagrams that came back.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Returns whether a datagram was changed on its way.
    pub(crate) fn has_failed(&self) -> bool {
        self.worker.is_finished()
    }

    /// Ends it, and returns the number of datagrams that came back.
    pub(crate) fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.worker.join().unwrap();
        self.answered.load(Ordering::Relaxed)
    }

    fn run(socket: &UdpSocket, is_over: &AtomicBool, answered: &AtomicU64) {
        let mut waits = BTreeMap::new();
        let mut bytes = [0; 2048];
        for number in 0.. {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let sent = datagram(number);
            // Sending may fail while no machine is running.
            if socket.send(&sent).is_ok() {
                waits.insert(number, sent);
            }
            while waits.len() >= DEPTH {
                let Ok(len) = socket.recv(&mut bytes) else {
                    waits.pop_first();
                    continue;
                };
                let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                // A datagram that was given up may arrive late.
                assert!(bytes[..len] == datagram(number), "datagram {number} has changed on its way");
                waits.remove(&number);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The command that restores the snapshot `place` in `folder`, with a way to restore memory that is chosen at random.
pub(crate) fn restored(namespace: &Namespace, folder: &Path, place: &Path, random: &mut Random) -> Command {
    let way = WAYS[usize::try_from(random.below(2)).unwrap()];
    let mut command = namespace.nvmm();
    command.args(restore(folder, place, &["--restore-memory", way]).get_args()).current_dir(folder);
    command
}

#[test]
fn frames_are_whole_and_come_again_after_each_restore() {
    if no_kvm() {
        return;
    }
    let Some(namespace) = Namespace::new() else { return };
    let Some(flood) = Flood::start(&namespace) else { return };

    let mut random = Random(number("NVMM_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let mut command = namespace.nvmm();
    command.arg("--kernel").arg(guest("network")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--net", NET, "--cmdline", "a2"]).current_dir(folder.path());
    let saves = number("NVMM_SAVES", 8);
    for save in 0..saves {
        let [old, new] = [save, save + 1].map(|number| folder.path().join(format!("snap{number}")));
        if save > 0 {
            command = restored(&namespace, folder.path(), &old, &mut random);
        }
        let mut machine = start(&mut command, folder.path());
        if save == 0 {
            expect(machine.0.stdout.as_mut().unwrap(), "ready\n");
        }
        // Fewer frames than this were in flight before the restore.
        let seen = flood.answered();
        let goes_on = in_time(|| flood.has_failed() || flood.answered() > seen + 20);
        assert!(goes_on && !flood.has_failed(), "save {save}: no frame comes back any more");
        thread::sleep(Duration::from_micros(random.below(30_000)));
        let output =
            ctl(&folder.path().join("qmp"), &["snapshot", new.to_str().unwrap(), "--stop"]).output().unwrap();
        assert!(output.status.success(), "save {save}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(machine.status(), Some(0));
        if save > 0 {
            fs::remove_dir_all(&old).unwrap();
        }
    }
    println!("{saves} saves, {} datagrams came back", flood.end());
}
