//! The path of a block request without a guest: `cargo bench -p devices --bench block [WORD]...`, with words of the rows wanted.
//!
//! Each row drives a device as a guest's driver does, with at least half of its queue of 128 requests in use unless the row says otherwise,
//! and also runs a plain io_uring loop over the same file, with as many transfers at a time and one thread for each queue. Both run in
//! turn, and the ratio is that of their medians. The processor time per transfer is that of the whole process, including the driver; on a
//! busy host it is more meaningful than the rate.
//!
//! Rows of a SATA disk have 32 queued commands instead of 128 requests, and are compared with virtio's disk, with as many. Rows of a disk
//! that notes the pages it writes to, as during a migration, are compared with the same disk without.
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on fails")]

mod baseline;
#[path = "../bench/mod.rs"]
mod bench;
mod driver;
mod sata;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use bench::figures;
use devices::{
    block::Engine,
    disk::{
        Disk,
        format::Format,
        image::{self, OpenOptions},
        raw::DiskOptions,
    },
};
use tempfile::TempDir;

const SIZE: u64 = 512 << 20;

/// The width of a row's name.
const WIDTH: usize = 62;

/// The requests to a disk.
#[derive(Clone, Copy, Debug)]
struct Load {
    name: &'static str,
    write: bool,
    random: bool,
    len: u32,
    /// The number of requests in a queue.
    depth: u16,
}

const LOADS: [Load; 6] = [
    Load { name: "4 KiB random read", write: false, random: true, len: 4 << 10, depth: 128 },
    Load { name: "4 KiB random read, depth 1", write: false, random: true, len: 4 << 10, depth: 1 },
    Load { name: "4 KiB random write", write: true, random: true, len: 4 << 10, depth: 128 },
    Load { name: "4 KiB random write, depth 1", write: true, random: true, len: 4 << 10, depth: 1 },
    Load { name: "1 MiB sequential read", write: false, random: false, len: 1 << 20, depth: 128 },
    Load { name: "1 MiB sequential write", write: true, random: false, len: 1 << 20, depth: 128 },
];

/// A way to store and to access a disk.
#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    format: Format,
    engine: Engine,
}

const WAYS: [Way; 3] = [
    Way { name: "raw, io_uring", format: Format::Raw, engine: Engine::IoUring },
    Way { name: "raw, threads", format: Format::Raw, engine: Engine::Threads },
    Way { name: "qcow2", format: Format::Qcow2, engine: Engine::Auto },
];

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    figures::head(WIDTH);
    for (medium, folder, direct) in
        [("tmpfs", "/dev/shm", false), ("file", "/var/tmp", false), ("file, direct", "/var/tmp", true)]
    {
        let images = match Images::new(Path::new(folder)) {
            Ok(images) => images,
            Err(error) => {
                println!("{medium}: skipped: {folder}: {error}");
                continue;
            }
        };
        for queues in [1, 4] {
            for load in LOADS {
                for way in WAYS {
                    let name = format!(
                        "{medium}, {}, {queues} queue{}, {}",
                        load.name,
                        if queues == 1 { "" } else { "s" },
                        way.name
                    );
                    if words.iter().all(|word| name.contains(word.as_str())) {
                        row(&name, &images, direct, queues, &load, &way);
                    }
                }
            }
        }
        for load in LOADS {
            let name = format!("{medium}, {}, SATA against virtio", load.name);
            if words.iter().all(|word| name.contains(word.as_str())) {
                sata_row(&name, &images, direct, load);
            }
        }
        for load in LOADS.into_iter().filter(|load| !load.write) {
            let name = format!("{medium}, {}, noting pages against not", load.name);
            if words.iter().all(|word| name.contains(word.as_str())) {
                noting_row(&name, &images, direct, &load);
            }
        }
    }
}

fn row(name: &str, images: &Images, direct: bool, queues: u16, load: &Load, way: &Way) {
    let disk = images.open(way.format, direct);
    let large = (load.len >= 1 << 20).then_some(load.len);
    let ours = || driver::run(&disk, way.engine, queues, load, false);
    figures::row(WIDTH, name, large, ours, || baseline::run(&images.raw, direct, queues, load));
}

fn sata_row(name: &str, images: &Images, direct: bool, load: Load) {
    let disk = images.open(Format::Raw, direct);
    let load = Load { depth: load.depth.min(sata::SLOTS), ..load };
    let large = (load.len >= 1 << 20).then_some(load.len);
    let virtio = || driver::run(&disk, Engine::IoUring, 1, &load, false);
    figures::row(WIDTH, name, large, || sata::run(&disk, Engine::IoUring, &load), virtio);
}

/// Only reads write to the guest's memory, except for a status byte.
fn noting_row(name: &str, images: &Images, direct: bool, load: &Load) {
    let disk = images.open(Format::Raw, direct);
    let large = (load.len >= 1 << 20).then_some(load.len);
    let run = |notes| driver::run(&disk, Engine::IoUring, 1, load, notes);
    figures::row(WIDTH, name, large, || run(true), || run(false));
}

/// The same disk in each format.
struct Images {
    raw: PathBuf,
    qcow2: PathBuf,
    _folder: TempDir,
}

impl Images {
    fn new(folder: &Path) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nvmm-bench").tempdir_in(folder)?;
        let (raw, qcow2) = (folder.path().join("disk.raw"), folder.path().join("disk.qcow2"));
        let piece = vec![0x5a; 1 << 20];
        let mut file = File::create(&raw)?;
        for _ in 0..SIZE >> 20 {
            std::io::Write::write_all(&mut file, &piece)?;
        }
        file.sync_all()?;
        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "-f", "raw", "-O", "qcow2"]).args([&raw, &qcow2]);
        if !convert.status()?.success() {
            return Err(std::io::Error::other("qemu-img failed"));
        }
        // Fill the page cache.
        fs::read(&raw)?;
        fs::read(&qcow2)?;
        Ok(Self { raw, qcow2, _folder: folder })
    }

    fn open(&self, format: Format, direct: bool) -> Arc<dyn Disk> {
        let path = if format == Format::Raw { &self.raw } else { &self.qcow2 };
        let options = OpenOptions {
            disk: DiskOptions { read_only: false, direct },
            format: Some(format),
            ..OpenOptions::default()
        };
        image::open(path, &options).unwrap().disk
    }
}

/// The offsets of successive transfers.
struct Places {
    load: Load,
    next: u64,
}

impl Places {
    fn new(load: &Load, seed: u64) -> Self {
        Self { load: *load, next: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// The offset of the next transfer.
    fn next(&mut self) -> u64 {
        let len = u64::from(self.load.len);
        let slots = SIZE / len;
        if self.load.random {
            // Marsaglia's xorshift64.
            self.next ^= self.next << 13;
            self.next ^= self.next >> 7;
            self.next ^= self.next << 17;
        } else {
            self.next = self.next.wrapping_add(1);
        }
        self.next % slots * len
    }
}
