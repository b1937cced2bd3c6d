//! No write is lost that a flush has confirmed, when nvmm is killed.
//!
//! `NVMM_KILLS` is how often nvmm is killed for each kind of disk (50), `NVMM_SEED` what its moments are taken from (1).
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "guests/blk_plan.rs"]
mod blk_plan;
#[path = "support/images.rs"]
mod images;
#[path = "support/model.rs"]
mod model;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use blk_plan::Round;
use images::{Image, Kind, no_qemu_img};
use model::Model;
use support::{Running, expect, guest, no_kvm, nvmm};
use tempfile::TempDir;

#[test]
fn killed_on_raw_by_io_uring() {
    kill_often(Kind::Raw, ",aio=io_uring");
}

#[test]
fn killed_on_raw_by_threads() {
    kill_often(Kind::Raw, ",aio=threads");
}

#[test]
fn killed_on_qcow2() {
    kill_often(Kind::Qcow2, "");
}

#[test]
fn killed_on_an_overlay_of_raw() {
    kill_often(Kind::OverlayOfRaw, "");
}

/// How the image is made, and how the guest uses it, one set for every ten kills.
const VARIANTS: [(&str, &str); 5] = [("64k", "j"), ("4k", "j"), ("64k", "jt"), ("2M", "j"), ("512", "jr")];

/// Kills nvmm again and again while a guest writes and flushes, most of the time going on with the image that the last kill
/// left behind.
fn kill_often(kind: Kind, options: &str) {
    if no_kvm() || no_qemu_img(kind) {
        return;
    }
    let kills = number("NVMM_KILLS", 50);
    let mut random = Random(number("NVMM_SEED", 1));
    let mut flushes = 0;
    for (number, (cluster_size, letters)) in (0..kills.div_ceil(10)).zip(VARIANTS.into_iter().cycle()) {
        let folder = folder(number % 2 == 1);
        let image = Image::new(kind, folder.path(), cluster_size);
        let journal = folder.path().join("journal");
        fs::write(&journal, [0; 4096]).unwrap();
        let mut model = Model::new(image.is_filled());
        let mut first = 1;
        for kill in 10 * number..kills.min(10 * (number + 1)) {
            println!("kill {kill}: {cluster_size}, {letters}, from round {first}");
            let mut command = machine(&image, options);
            command.args(["--cmdline", &format!("{first}{letters}")]);
            command.args(["--disk", &format!("path={},format=raw", journal.display())]);
            let (seen, said) = run_and_kill(&mut command, &mut random);
            assert_eq!(said, "");

            // The journal may be from before.
            let confirmed = last_confirmed(&journal).max(first - 1);
            let lines: Vec<_> = seen.lines().skip(1).map(Line::parse).collect();
            for (round, line) in (first..).zip(&lines) {
                // The first one reads what nobody has confirmed.
                let differing = if round == first { line.differing } else { 0 };
                assert_eq!(*line, Line { round, differing, ..Line::default() });
            }
            if let Some(last) = lines.last() {
                assert!(last.round <= confirmed, "{last:?} was confirmed, and then only {confirmed} was");
            }
            for round in first..=confirmed {
                model.write(round, 0);
                model.flush();
            }
            // All that can have been begun besides: the round after, and with its flush some of one more.
            model.begin(confirmed + 1, Round(confirmed + 1).writes());
            model.begin(confirmed + 2, Round(confirmed + 2).early());
            model.verify(&image.read(true)).unwrap();
            flushes += confirmed + 1 - first;
            first = confirmed + 3;
        }
    }
    println!("{kind:?}{options}: {kills} kills, {flushes} confirmed flushes");
    assert_ne!(flushes, 0);
}

/// A folder for images: on a disk, or in memory, where much more happens in the time.
fn folder(in_memory: bool) -> TempDir {
    let memory = Path::new("/dev/shm");
    if in_memory && memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// A machine with `blk_durable` in it.
fn machine(image: &Image, options: &str) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("blk_durable")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--disk", &format!("{}{options}", image.option())]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns whole lines of what the guest said, and what nvmm said.
fn run_and_kill(command: &mut Command, random: &mut Random) -> (String, String) {
    let mut child = Running::start(command);
    let mut stdout = child.0.stdout.take().unwrap();
    let mut seen = String::new();
    if random.below(8) != 0 {
        seen = expect(&mut stdout, "ready\n");
        for _ in 0..random.below(10) {
            seen += &expect(&mut stdout, "\n");
        }
        thread::sleep(Duration::from_micros(random.below(20_000)));
    } else {
        thread::sleep(Duration::from_micros(random.below(20_000)));
    }
    child.0.kill().unwrap();
    assert_eq!(child.status(), None, "nvmm ended by itself");
    stdout.read_to_string(&mut seen).unwrap();
    seen.truncate(seen.rfind('\n').map_or(0, |end| end + 1));
    let mut said = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (seen, said)
}

/// The round in the journal's first sector.
fn last_confirmed(journal: &Path) -> u64 {
    let journal = fs::read(journal).unwrap();
    let word = |at: usize| u64::from_le_bytes(*journal[at..].first_chunk().unwrap());
    let round = word(0);
    if round != 0 {
        let content = blk_plan::content(round, 0);
        assert_eq!(content.map(|(at, _)| word(usize::try_from(at).unwrap())), content.map(|(_, word)| word));
    }
    round
}

/// What the guest says of a round: which of its writes, its flush and its reads failed, and which of the others read
/// something else than was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    round: u64,
    writes: u64,
    flush: u64,
    reads: u64,
    differing: u64,
}

impl Line {
    fn parse(line: &str) -> Self {
        let numbers: Vec<_> = line.split(' ').map(|number| u64::from_str_radix(number, 16)).collect();
        let [Ok(round), Ok(writes), Ok(flush), Ok(reads), Ok(differing)] = numbers[..] else {
            panic!("the guest says {line:?}");
        };
        Self { round, writes, flush, reads, differing }
    }
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 += 1;
        blk_plan::mix(self.0) % end
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}
