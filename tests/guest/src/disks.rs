//! Disks of every kind under Linux: level 1 uses them, and level 0 checks their contents.
#![expect(unsafe_code, reason = "the ioctls of block devices")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use vmm::nest::image;
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use crate::level0::NVMM;
use crate::level1::PATIENCE;

/// The disks of level 1 except the one for the record.
pub(crate) const DISKS: [&str; 4] = [
    "path=/disks/raw,queues=2,serial=raw-disk",
    "path=/disks/image.qcow2,cache=writethrough,queues=1,serial=qcow2-disk",
    "path=/disks/base,overlay=temp,discard=off,serial=temp",
    "path=/disks/base,overlay=/disks/over.qcow2,aio=threads,serial=over",
];
/// The disk that level 1 uses through legacy virtio.
pub(crate) const LEGACY: &str = "path=/disks/legacy,legacy=on,serial=legacy";
const FOLDER: &str = "/disks";

const MIB: u64 = 1 << 20;
const SIZE: u64 = 32 * MIB;
/// The size that the first disk grows to.
const GROWN: u64 = 48 * MIB;
/// Level 1's message that the first disk may grow.
pub(crate) const GROW: &str = "lab: grow";

/// The number of MiB that are written, and the ranges of them that are discarded and zeroed.
const WRITTEN: u64 = 8;
const DISCARDED: Range<u64> = 2..4;
const ZEROED: Range<u64> = 5..6;

/// `BLKDISCARD` and `BLKZEROOUT`.
const DISCARD: Opcode = opcode::none(0x12, 119);
const ZERO_OUT: Opcode = opcode::none(0x12, 127);

/// Level 1's facts about a disk.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskFacts {
    name: String,
    serial: String,
    size: u64,
    queues: usize,
    cache: String,
    discards: bool,
    zeroes: bool,
}

/// Level 0: creates the disks' images.
pub(crate) fn make() -> anyhow::Result<()> {
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder).context("making /disks")?;
    // For the temporary overlay.
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    // The root of an initramfs may not support holes.
    mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None).context("mounting /disks")?;
    for name in ["raw", "base"] {
        File::create(at(name)).and_then(|file| file.set_len(SIZE)).context("making a disk")?;
    }
    nvmm(&["disk", "create", "-f", "qcow2", "/disks/image.qcow2", "32M"])
}

/// Level 0: creates the image of [`LEGACY`].
pub(crate) fn make_legacy() -> anyhow::Result<()> {
    fs::create_dir_all(FOLDER).context("making /disks")?;
    File::create(at("legacy")).and_then(|file| file.set_len(SIZE)).context("making a disk")
}

/// Level 0: enlarges the first disk, after [`GROW`].
pub(crate) fn grow(nvmm: u32) -> anyhow::Result<()> {
    OpenOptions::new().write(true).open(at("raw")).and_then(|file| file.set_len(GROWN))?;
    let nvmm = i32::try_from(nvmm).ok().and_then(Pid::from_raw).context("nvmm has no process id")?;
    Ok(kill_process(nvmm, Signal::HUP)?)
}

/// Level 0: checks level 1's facts about its disks, and their contents.
pub(crate) fn judge(found: &[DiskFacts]) -> anyhow::Result<()> {
    let facts = |name: &str, serial: &str, queues, cache: &str, discards| DiskFacts {
        name: name.to_owned(),
        serial: serial.to_owned(),
        size: if name == "vdb" { GROWN } else { SIZE },
        queues,
        cache: cache.to_owned(),
        discards,
        zeroes: true,
    };
    let expected = [
        facts("vdb", "raw-disk", 2, "write back", true),
        facts("vdc", "qcow2-disk", 1, "write through", true),
        facts("vdd", "temp", 2, "write back", false),
        facts("vde", "over", 2, "write back", true),
    ];
    ensure!(found == expected, "level 1 knew {found:?}, not {expected:?}");
    for (name, number) in [("raw", 0), ("image.qcow2", 1), ("over.qcow2", 3)] {
        let raw = at("converted");
        let from = at(name).display().to_string();
        nvmm(&["disk", "convert", "-O", "raw", "--quiet", &from, "/disks/converted"])?;
        judge_contents(&raw, number).with_context(|| format!("what is in {name}"))?;
        fs::remove_file(raw).context("removing a copy")?;
    }
    let used = |name: &str| fs::metadata(at(name)).map(|file| file.blocks() * 512);
    ensure!(used("base")? == 0, "what is below overlays was written to");
    let kept = WRITTEN - (DISCARDED.end - DISCARDED.start);
    let raw = used("raw")?;
    ensure!(raw <= kept * MIB, "what was discarded is still there: {raw} bytes are used");
    Ok(())
}

/// Level 0: checks the contents of [`LEGACY`].
pub(crate) fn judge_legacy() -> anyhow::Result<()> {
    judge_contents(&at("legacy"), 0).context("what is in the disk")
}

fn at(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn nvmm(args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(image::in_root(NVMM)).args(args).output().context("starting nvmm")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nvmm {}: {}: {said}", args.join(" "), output.status);
    Ok(())
}

/// Checks the contents that level 1 left on disk `number`. Discarded sectors may have any data that was written there.
fn judge_contents(raw: &Path, number: u8) -> anyhow::Result<()> {
    let file = File::open(raw)?;
    let mut found = vec![0; usize::try_from(MIB)?];
    for mib in (0..WRITTEN).filter(|mib| !DISCARDED.contains(mib)) {
        file.read_exact_at(&mut found, mib * MIB)?;
        let expected = if ZEROED.contains(&mib) { vec![0; found.len()] } else { pattern(number, mib) };
        ensure!(found == expected, "MiB {mib} is not what was written");
    }
    file.read_exact_at(&mut found, WRITTEN * MIB)?;
    ensure!(found.iter().all(|&byte| byte == 0), "there is more than was written");
    Ok(())
}

/// A mebibyte that differs from all others.
fn pattern(number: u8, mib: u64) -> Vec<u8> {
    let place = (u64::from(number) << 32 | mib).to_le_bytes();
    place.into_iter().cycle().take(1 << 20).collect()
}

/// Level 1: uses its disks, and returns its facts about them.
pub(crate) fn use_them(pid1: &mut Pid1) -> anyhow::Result<Vec<DiskFacts>> {
    let names = ["vdb", "vdc", "vdd", "vde"];
    for (number, name) in (0..).zip(names) {
        use_it(number, name).with_context(|| format!("using {name}"))?;
    }
    pid1.say(Said::Text(GROW.to_owned()));
    let start = Instant::now();
    while size("vdb")? != GROWN {
        ensure!(start.elapsed() < PATIENCE, "vdb did not grow");
        thread::sleep(Duration::from_millis(100));
    }
    names.into_iter().map(|name| facts(name).with_context(|| format!("looking at {name}"))).collect()
}

/// Level 1: uses [`LEGACY`].
pub(crate) fn use_legacy() -> anyhow::Result<()> {
    use_it(0, "vdb")?;
    ensure!(facts("vdb")?.serial == "legacy", "vdb is another disk");
    Ok(())
}

fn use_it(number: u8, name: &str) -> anyhow::Result<()> {
    let path = format!("/dev/{name}");
    let disk = OpenOptions::new().read(true).write(true).open(&path)?;
    for mib in 0..WRITTEN {
        disk.write_all_at(&pattern(number, mib), mib * MIB)?;
    }
    disk.sync_all().context("flushing")?;
    if facts(name)?.discards {
        range::<DISCARD>(&disk, &DISCARDED).context("discarding")?;
    } else {
        let refused = range::<DISCARD>(&disk, &DISCARDED);
        let refused = refused.is_err_and(|error| error.raw_os_error() == Some(libc::EOPNOTSUPP));
        ensure!(refused, "a discard was not refused");
    }
    range::<ZERO_OUT>(&disk, &ZEROED).context("zeroing")?;

    // Bypass Linux's page cache.
    let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path)?;
    let mut memory = vec![0_u8; (1 << 20) + 4096];
    let aligned = memory.as_ptr().align_offset(4096);
    let found = &mut memory[aligned..aligned + (1 << 20)];
    for mib in (0..WRITTEN).filter(|mib| !DISCARDED.contains(mib)) {
        direct.read_exact_at(found, mib * MIB)?;
        let expected = if ZEROED.contains(&mib) { vec![0; 1 << 20] } else { pattern(number, mib) };
        ensure!(found == expected, "MiB {mib} reads back as something else");
    }
    switch_cache(name)
}

/// Runs one of Linux's ioctls on a range of a disk, in MiB.
fn range<const WHAT: Opcode>(disk: &File, mib: &Range<u64>) -> io::Result<()> {
    let range = [mib.start * MIB, (mib.end - mib.start) * MIB];
    // SAFETY: these two take a pointer to an offset and a length, and read only that.
    let request = unsafe { Setter::<WHAT, _>::new(range) };
    // SAFETY: as above.
    unsafe { ioctl(disk, request) }.map_err(io::Error::from)
}

/// Switches the write cache to the other mode and back.
fn switch_cache(name: &str) -> anyhow::Result<()> {
    let attribute = format!("/sys/block/{name}/cache_type");
    let read = || fs::read_to_string(&attribute).map(|it| it.trim_end().to_owned());
    let mode = read()?;
    let other = match mode.as_str() {
        "write back" => "write through",
        "write through" => "write back",
        mode => bail!("the cache is {mode:?}"),
    };
    for mode in [other, &mode] {
        fs::write(&attribute, mode).with_context(|| format!("asking for {mode}"))?;
        let now = read()?;
        ensure!(now == mode, "asked for {mode}, the cache is {now}");
    }
    Ok(())
}

fn facts(name: &str) -> anyhow::Result<DiskFacts> {
    let read = |attribute: &str| {
        let path = format!("/sys/block/{name}/{attribute}");
        fs::read_to_string(&path)
            .map(|it| it.trim_end().to_owned())
            .with_context(|| format!("reading {path}"))
    };
    let is_some = |limit: &str| read(limit).map(|it| it != "0");
    let queues = fs::read_dir(format!("/sys/block/{name}/mq")).context("counting queues")?.count();
    Ok(DiskFacts {
        name: name.to_owned(),
        serial: read("serial")?,
        size: size(name)?,
        queues,
        cache: read("cache_type")?,
        discards: is_some("queue/discard_max_bytes")?,
        zeroes: is_some("queue/write_zeroes_max_bytes")?,
    })
}

fn size(name: &str) -> anyhow::Result<u64> {
    let sectors = fs::read_to_string(format!("/sys/block/{name}/size"))?;
    Ok(512 * sectors.trim_end().parse::<u64>()?)
}
