//! No write is lost that a flush has confirmed: neither when nvmm is killed, nor when its host fails writes for a while.
//!
//! `NVMM_KILLS` is the number of kills for each kind of disk (50), `NVMM_SEED` the seed for their moments (1).
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![expect(unsafe_code, reason = "a thread gets mounts of its own")]

#[path = "guests/blk_plan.rs"]
mod blk_plan;
#[path = "support/images.rs"]
mod images;
#[path = "support/model.rs"]
mod model;
#[path = "support/stepped.rs"]
mod stepped;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use blk_plan::Round;
use images::{Image, ImageKind, no_qemu_img};
use model::Model;
use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    process::{Resource, Rlimit, prlimit},
    thread::{UnshareFlags, unshare_unsafe},
};
use stepped::{Line, Stepped};
use support::{Running, expect, guest, no_kvm, nvmm};
use tempfile::TempDir;

#[test]
fn killed_on_raw_by_io_uring() {
    kill_often(ImageKind::Raw, ",aio=io_uring");
}

#[test]
fn killed_on_raw_by_threads() {
    kill_often(ImageKind::Raw, ",aio=threads");
}

#[test]
fn killed_on_sata_by_io_uring() {
    kill_often(ImageKind::Raw, ",aio=io_uring,bus=sata");
}

#[test]
fn killed_on_sata_by_threads() {
    kill_often(ImageKind::Qcow2, ",bus=sata");
}

#[test]
fn killed_on_qcow2() {
    kill_often(ImageKind::Qcow2, "");
}

#[test]
fn killed_on_an_overlay_of_raw() {
    kill_often(ImageKind::OverlayOfRaw, "");
}

#[test]
fn killed_on_an_overlay_of_a_vmdk() {
    kill_often(ImageKind::OverlayOfVmdk, "");
}

/// The image's cluster size and the guest's mode; a new pair for every ten kills.
const VARIANTS: [(&str, &str); 5] = [("64k", "j"), ("4k", "j"), ("64k", "jt"), ("2M", "j"), ("512", "jr")];

/// Kills nvmm repeatedly while a guest writes and flushes, mostly continuing with the image that the last kill left behind.
fn kill_often(kind: ImageKind, options: &str) {
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
            let bus = if options.contains("bus=sata") { "a" } else { "" };
            command.args(["--cmdline", &format!("{first}{letters}{bus}")]);
            command.args(["--disk", &format!("path={},format=raw", journal.display())]);
            let (seen, said) = run_and_kill(&mut command, &mut random);
            assert_eq!(said, "");

            // The journal may be older.
            let confirmed = last_confirmed(&journal).max(first - 1);
            let lines: Vec<_> = seen.lines().skip(1).map(Line::parse).collect();
            for (round, line) in (first..).zip(&lines) {
                // The first round reads data that no flush has confirmed.
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
            // At most this can have started besides: the next round, and if its flush was done, a part of one more.
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

/// The most lines that nvmm prints about an image that fails, for writes and flushes or for reads.
const SAID: usize = 2;

#[test]
fn a_full_host_on_raw() {
    full_host(ImageKind::Raw, "64k", 6, |random| random.below(40));
}

#[test]
fn a_full_host_on_qcow2() {
    for cluster_size in ["512", "64k"] {
        full_host(ImageKind::Qcow2, cluster_size, 6, |random| random.below(40));
    }
}

#[test]
fn a_full_host_on_an_overlay_of_raw() {
    full_host(ImageKind::OverlayOfRaw, "4k", 6, |random| random.below(40));
}

/// An image of holes, in which the first write also goes to each of its tables.
#[test]
fn a_host_that_gets_full_at_each_of_the_first_pages() {
    for left in 0..8 {
        full_host(ImageKind::Qcow2, "4k", 1, |_| left);
    }
}

#[test]
fn a_limit_on_raw() {
    limited(ImageKind::Raw, "64k", |random, _| (1 << 20) + random.below(30 << 20));
}

#[test]
fn a_limit_on_qcow2() {
    for cluster_size in ["512", "64k"] {
        limited(ImageKind::Qcow2, cluster_size, |random, len| len + random.below(1 << 18));
    }
}

#[test]
fn a_file_that_is_cut_fails_what_reads_past_its_end() {
    if no_kvm() {
        return;
    }
    for options in [",aio=io_uring", ",aio=threads"] {
        let folder = folder(false);
        let image = Image::new(ImageKind::Raw, folder.path(), "");
        let mut guest = Stepped::start(&mut machine(&image, options), Model::new(false));
        let mut last = guest.step();
        for _ in 0..3 {
            let file = File::options().write(true).open(image.path()).unwrap();
            file.set_len(0).unwrap();
            let line = guest.step();
            assert_eq!((line.reads, line.writes, line.flush), ((1 << Round(last.round).writes()) - 1, 0, 0));
            last = guest.step();
            assert!(last.is_good(), "{last:?}");
        }
        let (_, said) = guest.quit();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(image.path().to_str().unwrap()) && said.contains("read at sector"), "{said}");
    }
}

/// A guest writes while the file system of its image at times has only this many pages `left`.
fn full_host(kind: ImageKind, cluster_size: &str, times: u64, left: impl Fn(&mut Random) -> u64 + Sync) {
    if no_kvm() || no_qemu_img(kind) {
        return;
    }
    let folder = folder(false);
    let test = || {
        if let Err(error) = own_tmpfs(folder.path()) {
            return println!("skipped: a tmpfs can't be mounted: {error}");
        }
        let filler = folder.path().join("filler");
        let image = Image::new(kind, folder.path(), cluster_size);
        image.dig_holes();
        let mut model = fail_at_times(
            &image,
            times,
            |random, _| {
                let free = statvfs(folder.path()).unwrap();
                let left = left(random).min(free.f_bavail);
                let filler = File::create(&filler).unwrap();
                if free.f_bavail > left {
                    let len = (free.f_bavail - left) * free.f_bsize;
                    fallocate(&filler, FallocateFlags::empty(), 0, len).unwrap();
                }
            },
            |_| fs::remove_file(&filler).unwrap(),
        );
        // Clusters that imago frees also take space, if the image has holes there.
        model.verify(&image.read(true)).unwrap();
    };
    // Threads that a thread starts share its private mounts. These end with them.
    thread::scope(|scope| scope.spawn(test).join().unwrap());
}

/// Mounts a tmpfs that only this thread and its children can see.
fn own_tmpfs(folder: &Path) -> rustix::io::Result<()> {
    // SAFETY: The thread keeps its file descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS)? };
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tmpfs", folder, "tmpfs", MountFlags::empty(), c"size=96M")
}

/// A guest writes while the image at times must not exceed the `limit` for its current length.
fn limited(kind: ImageKind, cluster_size: &str, limit: impl Fn(&mut Random, u64) -> u64) {
    if no_kvm() || no_qemu_img(kind) {
        return;
    }
    let folder = folder(false);
    let image = Image::new(kind, folder.path(), cluster_size);
    let set = |guest: &Stepped, current| {
        prlimit(Some(guest.pid()), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    let mut model = fail_at_times(
        &image,
        6,
        |random, guest| set(guest, Some(limit(random, fs::metadata(image.path()).unwrap().len()))),
        |guest| set(guest, None),
    );
    model.verify(&image.read(false)).unwrap();
}

/// A guest writes, and its writes fail this many times, between `begin` and `end`. Returns the contents of the disk.
fn fail_at_times(
    image: &Image,
    times: u64,
    begin: impl Fn(&mut Random, &Stepped),
    end: impl Fn(&Stepped),
) -> Model {
    let mut random = Random(number("NVMM_SEED", 1));
    let mut guest = Stepped::start(&mut machine(image, ""), Model::new(image.is_filled()));
    let (mut good, mut bad) = (0, 0);
    for _ in 0..times {
        begin(&mut random, &guest);
        let failing = 1 + random.below(5);
        let until = bad + failing;
        for _ in 0..300 {
            let line = guest.step();
            assert_eq!(line.reads, 0);
            *if line.is_good() { &mut good } else { &mut bad } += 1;
            if bad == until {
                break;
            }
        }
        assert_eq!(bad, until, "the host did not fail");
        end(&guest);
        for _ in 0..5 {
            let line = guest.step();
            assert!(line.is_good(), "{line:?}");
            good += 1;
        }
    }
    let (model, said) = guest.quit();
    assert!((1..=SAID).contains(&said.lines().count()), "{said}");
    assert!(said.lines().all(|line| line.contains(image.path().to_str().unwrap())), "{said}");
    println!("{:?}: {good} rounds were confirmed, {bad} failed", image.kind());
    model
}

/// A directory for images: on a disk, or in memory, where many more writes fit in the same time.
fn folder(in_memory: bool) -> TempDir {
    let memory = Path::new("/dev/shm");
    if in_memory && memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// A machine with the guest `blk_durable`.
fn machine(image: &Image, options: &str) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("blk_durable")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--disk", &format!("{}{options}", image.option())]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns the complete lines of the guest's output, and nvmm's messages.
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

/// A deterministic random number generator.
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
