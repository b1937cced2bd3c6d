//! Shared by the tests of qcow2 images: a folder in which qemu-img works, and disks that are written at random.

use std::{
    error::Error,
    fs, io,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
};

use proptest::{prelude::*, test_runner::TestRng};
use tempfile::TempDir;
use vm_memory::VolatileSlice;

use super::{
    super::{
        Disk,
        image::{self, OpenOptions},
        raw::DiskOptions,
    },
    Qcow2Disk, Qcow2Options,
};

pub(super) const READ_ONLY: Qcow2Options =
    Qcow2Options { disk: DiskOptions { read_only: true, direct: false }, backing_root: None };

/// A directory of images for qemu-img.
pub(super) struct Images(pub(super) TempDir);

impl Images {
    /// Prints that a test is skipped if there is no qemu-img, and why.
    pub(super) fn new() -> Option<Self> {
        match Command::new("qemu-img").arg("--version").output() {
            Ok(_) => Some(Self(TempDir::new().unwrap())),
            Err(error) => {
                eprintln!("skipped: qemu-img: {error}");
                None
            }
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The disk in an image, as qemu-img reads it.
    #[track_caller]
    pub(super) fn raw(&self, image: &str) -> Vec<u8> {
        self.qemu_img(&format!("convert -t unsafe -f qcow2 -O raw {image} raw-of-{image}"));
        fs::read(self.path(&format!("raw-of-{image}"))).unwrap()
    }

    #[track_caller]
    pub(super) fn open(&self, image: &str, options: &Qcow2Options) -> Qcow2Disk {
        Qcow2Disk::open(&self.path(image), options).unwrap()
    }

    /// Opens a disk of any format.
    #[track_caller]
    pub(super) fn disk(&self, image: &str, options: &OpenOptions) -> Arc<dyn Disk> {
        image::open(&self.path(image), options).unwrap().disk
    }

    /// The whole message when an image is refused.
    #[track_caller]
    pub(super) fn refusal(&self, image: &str, options: &Qcow2Options) -> String {
        self.said(&Qcow2Disk::open(&self.path(image), options).unwrap_err())
    }

    /// The whole message of an error, with its causes.
    pub(super) fn said(&self, error: &dyn Error) -> String {
        let mut error = error;
        let mut said = error.to_string();
        while let Some(source) = error.source() {
            said = format!("{said}: {source}");
            error = source;
        }
        said.replace(&format!("{}/", self.0.path().display()), "")
    }

    /// Runs qemu-img with `words`, which are separated by blanks.
    #[track_caller]
    pub(super) fn qemu_img(&self, words: &str) -> String {
        for _ in 0..100 {
            let output = Command::new("qemu-img").args(words.split(' ')).current_dir(self.0.path()).output();
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return said.into_owned();
            }
            // Its measurement of the speed of LUKS keys fails now and then.
            assert!(said.contains("accurate CPU usage"), "qemu-img {words}: {said}");
        }
        panic!("qemu-img {words}: could not measure the speed of LUKS keys");
    }

    /// Writes `len` times the byte `value` into an image.
    #[track_caller]
    pub(super) fn qemu_write(&self, image: &str, value: usize, at: usize, len: usize) {
        let write = format!("write -P {value} {at} {len}");
        let qemu_io = Command::new("qemu-io")
            .args(["-f", "qcow2", "-c", &write, image])
            .current_dir(self.0.path())
            .output();
        assert!(qemu_io.unwrap().status.success(), "{write} to {image}");
    }

    /// Checks with qemu-img an image that was written to, and its contents.
    #[track_caller]
    pub(super) fn check(&self, image: &str, contents: &[u8]) {
        let said = self.qemu_img(&format!("check -f qcow2 {image}"));
        assert!(said.contains("No errors were found on the image"), "{said}");
        fs::write(self.path("twin"), contents).unwrap();
        self.qemu_img(&format!("compare -f qcow2 -F raw {image} twin"));
    }
}

/// The events of a file, recorded once a test asks for them.
#[derive(Debug, Default)]
pub(super) struct Log {
    events: Mutex<Option<Vec<Event>>>,
    /// The number of writes that will succeed, and of those that will fail after that.
    failures: Mutex<(usize, usize)>,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Write(u64, Vec<u8>),
    /// Everything before is on the medium.
    Sync,
}

impl Log {
    pub(super) fn start(&self) {
        *self.events.lock().unwrap() = Some(Vec::new());
    }

    /// Makes `count` writes fail after the next `after`.
    pub(super) fn fail(&self, after: usize, count: usize) {
        *self.failures.lock().unwrap() = (after, count);
    }

    /// Returns whether some of the failures were left over.
    pub(super) fn has_failures_left(&self) -> bool {
        self.failures.lock().unwrap().1 > 0
    }

    /// Fails if the next write must fail.
    pub(super) fn try_write(&self) -> io::Result<()> {
        let mut failures = self.failures.lock().unwrap();
        match *failures {
            (_, 0) => Ok(()),
            (0, ref mut count) => {
                *count -= 1;
                Err(io::ErrorKind::StorageFull.into())
            }
            (ref mut after, _) => {
                *after -= 1;
                Ok(())
            }
        }
    }

    /// The events since [`Log::start`].
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone().unwrap()
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) {
        self.push(|| Event::Write(offset, bytes.to_vec()));
    }

    pub(super) fn zero(&self, offset: u64, len: u64) {
        self.push(|| Event::Write(offset, vec![0; usize::try_from(len).unwrap()]));
    }

    pub(super) fn sync(&self) {
        self.push(|| Event::Sync);
    }

    fn push(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut *self.events.lock().unwrap() {
            events.push(event());
        }
    }
}

/// Compressible data, incompressible data, and holes.
pub(super) fn contents(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut state = 1_u32;
    for (number, part) in bytes.chunks_mut(24 << 10).enumerate() {
        for byte in part {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *byte = match number % 4 {
                0 => 0,
                1 => state.to_le_bytes()[0],
                _ => state.to_le_bytes()[0] & 1,
            };
        }
    }
    bytes
}

pub(super) fn read(disk: &dyn Disk, offset: usize, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xee; len];
    disk.read_at(&[VolatileSlice::from(bytes.as_mut_slice())], offset as u64)?;
    Ok(bytes)
}

pub(super) fn write(disk: &dyn Disk, offset: usize, bytes: &[u8]) -> io::Result<()> {
    disk.write_at(&[VolatileSlice::from(bytes.to_vec().as_mut_slice())], offset as u64)
}

/// Some sectors of a disk of `len` bytes: their offsets and sizes.
pub(super) fn sectors(random: &mut TestRng, len: usize, most: usize) -> (usize, usize) {
    let all = len / 512;
    let first = random.random_range(0..all);
    (first * 512, random.random_range(1..=most.min(all - first)) * 512)
}

#[track_caller]
pub(super) fn assert_reads(disk: &dyn Disk, wanted: &[u8]) {
    assert_eq!(disk.size(), wanted.len() as u64);
    assert!(read(disk, 0, wanted.len()).unwrap() == wanted, "{}", disk.name());
    let mut random = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..40 {
        let (offset, len) = sectors(&mut random, wanted.len(), 600);
        // In three parts of any length.
        let cuts = [random.random_range(0..len), random.random_range(0..len)];
        let (low, high) = (cuts[0].min(cuts[1]), cuts[0].max(cuts[1]));
        let mut parts = [vec![1; low], vec![1; high - low], vec![1; len - high]];
        let slices: Vec<_> = parts.iter_mut().map(|part| VolatileSlice::from(part.as_mut_slice())).collect();
        disk.read_at(&slices, offset as u64).unwrap();
        assert!(parts.concat() == wanted[offset..offset + len], "{}: {len} at {offset}", disk.name());
    }
}

/// Writes randomly to an image and to `twin`, with a flush now and then.
pub(super) fn write_at_random(disk: &dyn Disk, twin: &mut [u8], seed: u8) {
    let mut random = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[seed; 32]);
    for round in 0..60 {
        let (offset, len) = sectors(&mut random, twin.len(), if round % 10 == 0 { 3000 } else { 40 });
        let mut bytes = vec![0; len];
        bytes.chunks_mut(512).for_each(|sector| sector.fill(random.random()));
        write(disk, offset, &bytes).unwrap();
        twin[offset..offset + len].copy_from_slice(&bytes);
        if round % 20 == 0 {
            disk.flush().unwrap();
        }
        let (offset, len) = sectors(&mut random, twin.len(), 600);
        assert!(read(disk, offset, len).unwrap() == twin[offset..offset + len], "{len} at {offset}");
    }
}
