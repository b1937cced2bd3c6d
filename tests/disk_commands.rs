//! `nvmm disk`, as people type it, on images that qemu-img makes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt},
    },
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use devices::printable::is_plain;
use rustix::process::{Pid, Signal, kill_process};
use support::{Running, nvmm};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A folder of images, in which both programs work.
struct Images(TempDir);

impl Images {
    /// Says that a test is skipped, and why, where there is no qemu-img.
    fn new() -> Option<Self> {
        match Command::new("qemu-img").arg("--version").output() {
            Ok(_) => Some(Self(TempDir::new().unwrap())),
            Err(error) => {
                eprintln!("skipped: qemu-img: {error}");
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = nvmm();
        command.arg("disk").args(words.split_whitespace()).current_dir(&self.0);
        command
    }

    /// With no signal ignored, as those of a background job are which ran this test.
    fn heeding_signals(&self, words: &str) -> Command {
        let command = self.command(words);
        let mut env = Command::new("env");
        env.arg("--default-signal").arg(command.get_program()).args(command.get_args()).current_dir(&self.0);
        env
    }

    fn disk(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it prints, and nothing on stderr.
    #[track_caller]
    fn prints(&self, words: &str) -> String {
        let output = self.disk(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Checks that it ends with `status` and one line that has all of `parts`, and makes nothing.
    #[track_caller]
    fn refused(&self, words: &str, status: i32, parts: &[&str]) {
        let before = self.names();
        let output = self.disk(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{words}: {stderr}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{words}");
        for part in parts {
            assert!(stderr.contains(part), "{words}: no {part:?} in {stderr}");
        }
        assert_eq!(stderr.lines().count(), 1, "{words}: {stderr}");
        assert_eq!(self.names(), before, "{words}");
    }

    #[track_caller]
    fn qemu_img(&self, words: &str) -> String {
        let output =
            Command::new("qemu-img").args(words.split_whitespace()).current_dir(&self.0).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "qemu-img {words}: {said}");
        said.into_owned()
    }

    /// Checks that qemu-img finds neither a leak nor an error in a qcow2 image.
    #[track_caller]
    fn sound(&self, name: &str) {
        let said = self.qemu_img(&format!("check -f qcow2 {name}"));
        assert!(said.contains("No errors were found on the image"), "{name}: {said}");
    }

    /// Waits until a copy has a file to go into, with a name or without. Signals are heeded then.
    #[track_caller]
    fn begun(&self, copy: &Running) {
        let folder = fs::canonicalize(&self.0).unwrap();
        let is_copy = |path: &PathBuf| {
            let name = path.as_os_str().to_string_lossy();
            path.starts_with(&folder) && (name.ends_with(" (deleted)") || name.ends_with(".partial"))
        };
        let start = Instant::now();
        loop {
            let files = fs::read_dir(format!("/proc/{}/fd", copy.0.id())).unwrap();
            let files = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
            if files.filter(is_copy).count() > 0 {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "nothing was begun");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A raw file with data at some places, zeros that were written, and holes.
    fn raw(&self, name: &str, size: u64) {
        let file = File::create(self.path(name)).unwrap();
        file.set_len(size).unwrap();
        let mut state = 1_u32;
        for (place, len) in [(0, 700_000), (5 * MIB + 512, 512), (9 * MIB, 65_536), (size - 70_000, 70_000)] {
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state.to_be_bytes()[0] & 0x1f
                })
                .collect();
            file.write_all_at(&bytes, place).unwrap();
        }
        file.write_all_at(&vec![0; 3 << 20], 12 * MIB).unwrap();
    }

    fn allocated(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().blocks() * 512
    }

    /// Checks that the raw image `name` is what qemu-img makes of `from`.
    #[track_caller]
    fn same_as_qemu_img(&self, from: &str, name: &str) {
        self.qemu_img(&format!("convert -t unsafe -O raw {from} theirs"));
        assert!(fs::read(self.path(name)).unwrap() == fs::read(self.path("theirs")).unwrap(), "{from}");
        let (ours, theirs) = (self.allocated(name), self.allocated("theirs"));
        // Zeros are looked for in larger pieces.
        assert!(ours <= theirs + MIB, "{from}: {ours} bytes taken, and not {theirs}");
    }

    /// Images of every kind that qemu-img makes of the raw file `from`.
    fn of_every_kind(&self, from: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut make = |name: &str, format: &str, options: &str| {
            self.qemu_img(&format!("convert -t unsafe -f raw -O {format} {options} {from} {name}"));
            names.push(name.to_owned());
        };
        for kind in [
            "monolithicSparse",
            "monolithicFlat",
            "twoGbMaxExtentSparse",
            "twoGbMaxExtentFlat",
            "streamOptimized",
        ] {
            make(&format!("{kind}.vmdk"), "vmdk", &format!("-o subformat={kind}"));
        }
        for (name, options) in [
            ("v2.qcow2", "-o compat=0.10"),
            ("v3.qcow2", "-o compat=1.1"),
            ("small.qcow2", "-o cluster_size=4k"),
            ("large.qcow2", "-o cluster_size=2M"),
            ("compressed.qcow2", "-c"),
        ] {
            make(name, "qcow2", options);
        }
        self.qemu_img("create -f qcow2 -b v2.qcow2 -F qcow2 middle.qcow2");
        self.qemu_img("create -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2");
        for (image, write) in [("middle.qcow2", "write -P 7 3M 100k"), ("top.qcow2", "write -z 100k 300k")] {
            let mut qemu_io = Command::new("qemu-io");
            let qemu_io = qemu_io.args(["-f", "qcow2", "-c", write, image]);
            assert!(qemu_io.current_dir(&self.0).output().unwrap().status.success(), "{write}");
        }
        names.extend([from.to_owned(), "middle.qcow2".to_owned(), "top.qcow2".to_owned()]);
        names
    }
}

#[test]
fn raw_copies_are_those_of_qemu_img() {
    let Some(images) = Images::new() else { return };
    images.raw("disk", 48 * MIB + 512);
    for from in images.of_every_kind("disk") {
        assert_eq!(images.prints(&format!("convert {from} copy")), "");
        images.same_as_qemu_img(&from, "copy");
        fs::remove_file(images.path("copy")).unwrap();
    }
}

#[test]
fn qcow2_copies_are_sound_and_equal() {
    let Some(images) = Images::new() else { return };
    images.raw("disk", 48 * MIB + 512);
    for from in images.of_every_kind("disk") {
        assert_eq!(images.prints(&format!("convert -O qcow2 {from} copy.qcow2")), "");
        images.sound("copy.qcow2");
        let kind = if from.ends_with("vmdk") {
            "vmdk"
        } else if from == "disk" {
            "raw"
        } else {
            "qcow2"
        };
        images.qemu_img(&format!("compare -f {kind} -F qcow2 {from} copy.qcow2"));
        images.qemu_img(&format!("convert -t unsafe -f {kind} -O qcow2 {from} theirs.qcow2"));
        let (ours, theirs) = (images.allocated("copy.qcow2"), images.allocated("theirs.qcow2"));
        assert!(ours <= theirs + MIB, "{from}: {ours} bytes taken, and not {theirs}");
        fs::remove_file(images.path("copy.qcow2")).unwrap();
    }
}

#[test]
fn created_images_hold_zeros_or_their_base() {
    let Some(images) = Images::new() else { return };
    images.prints("create raw 10M");
    assert_eq!((fs::read(images.path("raw")).unwrap(), images.allocated("raw")), (vec![0; 10 << 20], 0));
    images.prints("create -f qcow2 --cluster-size 4K small.qcow2 1G");
    images.sound("small.qcow2");
    let said = images.qemu_img("info small.qcow2");
    assert!(said.contains("cluster_size: 4096") && said.contains("(1073741824 bytes)"), "{said}");

    images.raw("disk", 48 * MIB + 512);
    for base in images.of_every_kind("disk") {
        let format = if base.ends_with("vmdk") {
            "vmdk"
        } else if base == "disk" {
            "raw"
        } else {
            "qcow2"
        };
        images.prints(&format!("create -f qcow2 -b {base} -F {format} over.qcow2"));
        images.sound("over.qcow2");
        images.qemu_img(&format!("compare -f {format} -F qcow2 {base} over.qcow2"));
        let text = images.prints("info over.qcow2");
        assert!(text.contains(&format!("base          {base}, {format}\n")), "{text}");
        fs::remove_file(images.path("over.qcow2")).unwrap();
    }
    // Larger than its base.
    images.prints("create -f qcow2 -b disk -F raw larger.qcow2 1G");
    images.prints("convert larger.qcow2 whole");
    images.same_as_qemu_img("larger.qcow2", "whole");
}

#[test]
fn images_grow_with_zeros() {
    let Some(images) = Images::new() else { return };
    images.raw("raw", 48 * MIB + 512);
    images.qemu_img("convert -t unsafe -f raw -O qcow2 -o compat=0.10 raw v2.qcow2");
    images.qemu_img("convert -t unsafe -f raw -O qcow2 raw v3.qcow2");
    images.qemu_img("create -f qcow2 -b v3.qcow2 -F qcow2 over.qcow2 20M");
    let mut over = fs::read(images.path("raw")).unwrap();
    over.truncate(20 << 20);
    over.resize(100 << 20, 0);
    for (size, bytes) in [("99M", 99 * MIB), ("100M", 100 * MIB)] {
        for name in ["raw", "v2.qcow2", "v3.qcow2", "over.qcow2"] {
            images.prints(&format!("resize {name} {size}"));
        }
        assert_eq!(fs::metadata(images.path("raw")).unwrap().len(), bytes);
    }
    for name in ["v2.qcow2", "v3.qcow2"] {
        images.sound(name);
        images.qemu_img(&format!("compare -f raw -F qcow2 raw {name}"));
    }
    images.sound("over.qcow2");
    images.prints("convert over.qcow2 whole");
    assert!(fs::read(images.path("whole")).unwrap() == over);

    images.prints("resize raw +1M");
    assert_eq!(fs::metadata(images.path("raw")).unwrap().len(), 101 * MIB);
    for name in ["raw", "v3.qcow2"] {
        images.refused(
            &format!("resize {name} 10M"),
            1,
            &["would cut off its end", "qemu-img resize --shrink"],
        );
        images.refused(&format!("resize {name} +5"), 1, &["a multiple of 512"]);
    }
    images.qemu_img("create -f vmdk disk.vmdk 10M");
    images.refused("resize disk.vmdk 20M", 1, &["disk.vmdk is a vmdk", "nvmm disk convert"]);
    images.refused("resize -f qcow2 raw 200M", 1, &["doesn't begin as qcow2 images do"]);
    images.refused("resize none 200M", 1, &["disk none does not exist"]);
    images.refused("resize /dev/null 200M", 1, &["/dev/null is neither a file nor a block device"]);
}

#[test]
fn bases_elsewhere() {
    let Some(images) = Images::new() else { return };
    for folder in ["bases", "tops"] {
        fs::create_dir(images.path(folder)).unwrap();
    }
    images.prints("create bases/base 10M");
    let missing = "create -f qcow2 -b bases/base -F raw tops/top.qcow2";
    images.refused(missing, 1, &["the base bases/base is not in tops", "a whole path"]);
    let output = images.disk("create -f qcow2 -b ../bases/base -F raw tops/top.qcow2");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(0), 1), "{stderr}");
    let folder = fs::canonicalize(images.path("bases")).unwrap();
    assert!(stderr.ends_with(&format!("with backing-root={}\n", folder.display())), "{stderr}");
    assert_eq!(images.disk("info tops/top.qcow2").status.code(), Some(1));
    images.prints("info --backing-root bases tops/top.qcow2");
    images.refused("convert tops/top.qcow2 copy", 1, &["outside of the disk's folder"]);
    images.prints("convert --backing-root bases tops/top.qcow2 copy");
    // And one below is near.
    images.prints("create -f qcow2 -b bases/base -F raw top.qcow2");
}

#[test]
fn info_says_what_an_image_is() {
    let Some(images) = Images::new() else { return };
    images.raw("disk", 48 * MIB);
    images.of_every_kind("disk");
    let text = images.prints("info top.qcow2");
    let chain: Vec<_> = text.lines().skip_while(|line| !line.starts_with("chain")).collect();
    assert_eq!(chain.len(), 3, "{text}");
    for (line, name) in chain.iter().zip(["top.qcow2", "middle.qcow2", "v2.qcow2"]) {
        assert!(line.contains(name) && line.contains("48 MiB"), "{text}");
    }
    for part in ["format        qcow2, version 3\n", "(50331648 bytes)", "clusters      64 KiB"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = images.prints("info streamOptimized.vmdk");
    for part in ["vmdk, streamOptimized", "sparse, 48 MiB in grains of 64 KiB, compressed"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&images.prints(&format!("info --json {name}"))).unwrap()
    };
    let v2 = json("v2.qcow2");
    assert_eq!((&v2["problem"], &v2["chain"][0]["qcow2"]["version"]), (&serde_json::Value::Null, &2.into()));
    assert_eq!(json("disk")["chain"][0]["format_guessed"], true);
    assert_eq!(json("-f raw v2.qcow2")["chain"][0]["format"], "raw");
}

#[test]
fn info_says_what_is_wrong() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 base.qcow2 3M");
    images.qemu_img("create -f qcow2 -b base.qcow2 -F qcow2 guess.qcow2");
    // qemu-img makes none without the format any more, so its header extension is given another type.
    let guess = images.path("guess.qcow2");
    let extension = [0xe2, 0x79, 0x2a, 0xca];
    let place = fs::read(&guess).unwrap().windows(4).position(|bytes| *bytes == extension).unwrap();
    File::options().write(true).open(&guess).unwrap().write_all_at(&[1], place as u64).unwrap();
    images.qemu_img("create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2");
    images.qemu_img("create -f qcow2 -o compression_type=zstd zstd.qcow2 3M");
    fs::remove_file(images.path("base.qcow2")).unwrap();
    for (name, parts) in [
        (
            "guess.qcow2",
            ["base          base.qcow2, a format that is not recorded", "qemu-img rebase -u -F FORMAT"],
        ),
        ("top.qcow2", ["base          base.qcow2, qcow2", "base.qcow2 does not exist"]),
        ("zstd.qcow2", ["compression   zstd", "compressed by zstd"]),
    ] {
        let output = images.disk(&format!("info {name}"));
        let (text, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!((output.status.code(), stderr.as_str()), (Some(1), ""), "{text}");
        for part in parts.iter().chain(&["\n✗ disk ", "size          3 MiB"]) {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let output = images.disk(&format!("info --json {name}"));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(json["problem"].as_str().is_some_and(|problem| problem.contains(parts[1])), "{json:#}");
    }
    images.refused("info none", 1, &["disk none does not exist"]);
    images.refused("info .", 1, &["is a directory"]);
}

#[test]
fn info_works_on_an_image_in_use() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 disk.qcow2 3M");
    // It writes to the image for as long as its input is open.
    let mut qemu_io = Command::new("qemu-io");
    qemu_io.args(["-f", "qcow2", "disk.qcow2"]).current_dir(&images.0);
    let mut qemu_io = Running::start(qemu_io.stdin(Stdio::piped()).stdout(Stdio::piped()));
    support::expect(qemu_io.0.stdout.as_mut().unwrap(), "qemu-io> ");
    let text = images.prints("info disk.qcow2");
    let line = format!("in use        by qemu-io (pid {}), which writes to it\n", qemu_io.0.id());
    assert!(text.contains(&line), "{text}");
    images.refused("convert disk.qcow2 copy", 1, &["is in use by qemu-io"]);
    fs::write(images.path("copy"), "old").unwrap();
    drop(qemu_io);
}

/// A vmdk of 1 TiB of zeros that have to be read: one flat file again and again.
fn endless(images: &Images) {
    File::create(images.path("zeros")).unwrap().set_len(2 << 30).unwrap();
    let line = "RW 4194304 FLAT \"zeros\" 0\n";
    let text = format!(
        "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\n{}",
        line.repeat(512)
    );
    fs::write(images.path("endless.vmdk"), text).unwrap();
}

/// Whatever an image says of itself, a terminal just shows it.
#[test]
fn what_an_image_says_is_printed_safely() {
    let Some(images) = Images::new() else { return };
    const EVIL: &str = "\x1b]0;x\x07\x1b[2J\r\u{9b}31m\u{202e}\tfdmv";
    let descriptor = |lines: &str| format!("# Disk DescriptorFile\nversion=1\nCID=1\n{lines}\n");
    for (name, text) in [
        ("type", descriptor(&format!("createType=\"{EVIL}\""))),
        ("cid", descriptor(&format!("CID={EVIL}\ncreateType=\"custom\"\nRW 1 ZERO"))),
        (
            "parent",
            descriptor(&format!(
                "parentCID=2\nparentFileNameHint=\"{EVIL}\"\ncreateType=\"custom\"\nRW 1 ZERO"
            )),
        ),
        ("orphan", descriptor(&format!("parentFileNameHint=\"{EVIL}\"\ncreateType=\"custom\"\nRW 1 ZERO"))),
        (
            "extent",
            descriptor(&format!("createType=\"custom\"\nRW 1 {}x \"a\"", EVIL.replace(['\r', '\t'], ""))),
        ),
        ("name", descriptor(&format!("createType=\"custom\"\nRW 1 FLAT \"{EVIL}\" 0"))),
        ("size", descriptor(&format!("createType=\"custom\"\nRW {EVIL} FLAT \"a\" 0"))),
    ] {
        fs::write(images.path(name), text).unwrap();
    }
    // A name, and a format, and both with a line of nvmm's in it.
    let long = "x".repeat(EVIL.len());
    for (name, evil) in [("backing", EVIL.to_owned()), ("forged", EVIL.replace("\t", "\n"))] {
        images.qemu_img(&format!("create -q -u -f qcow2 -F raw -b {long} {name} 1M"));
        let image = fs::read(images.path(name)).unwrap();
        let at = image.windows(long.len()).position(|it| it == long.as_bytes()).unwrap();
        let file = File::options().write(true).open(images.path(name)).unwrap();
        file.write_all_at(evil.as_bytes(), at as u64).unwrap();
    }
    fs::copy(images.path("backing"), images.path("format")).unwrap();
    let image = fs::read(images.path("format")).unwrap();
    let at = image.windows(4).position(|it| it == [0xe2, 0x79, 0x2a, 0xca]).unwrap() as u64;
    let format = File::options().write(true).open(images.path("format")).unwrap();
    format.write_all_at(b"\x1b[A", at + 8).unwrap();
    // A file of such a name.
    fs::write(images.path(EVIL), [0; 4096]).unwrap();
    fs::write(images.path("there"), descriptor(&format!("createType=\"custom\"\nRW 8 FLAT \"{EVIL}\" 0")))
        .unwrap();

    let names = images.names();
    let mut said = 0;
    for name in names.iter().map(String::as_str) {
        for words in [&["info"][..], &["info", "--json"], &["convert", "--force"], &["resize"]] {
            let mut command = images.command("");
            command.args(words).arg(name);
            match words[0] {
                "convert" => command.arg("copy"),
                "resize" => command.arg("16M"),
                _ => &mut command,
            };
            let output = command.output().unwrap();
            for text in [output.stdout, output.stderr] {
                let text = String::from_utf8(text).unwrap();
                let is_json = words.len() > 1 && words[1] == "--json";
                let plain = |c: char| c == '\n' || if is_json { !c.is_ascii_control() } else { is_plain(c) };
                assert!(text.chars().all(plain), "{words:?} {name}: {text:?}");
                said += usize::from(text.contains("\\x1b[") || text.contains("\\u001b["));
                // Each message is one line, but that of what is said to be written and not.
                assert!(words[0] == "info" || text.lines().count() <= 1, "{words:?} {name}: {text:?}");
            }
        }
    }
    assert!(said >= 2 * names.len(), "{said} of {} say what is in the image", names.len());
}

/// An extent that is raw looks like a disk, and is a piece of one.
#[test]
fn a_piece_of_a_disk_is_told_whose_it_is() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 1M");
    images.qemu_img("create -q -f vmdk -o subformat=twoGbMaxExtentSparse split.vmdk 1M");
    let output = images.disk("info flat-flat.vmdk");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("flat-flat.vmdk is a piece of flat.vmdk, by its name"), "{stderr}");
    let output = images.disk("info split-s001.vmdk");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let told = "a piece of a disk; give the file that names it, ";
    assert!(stdout.contains(told) && stdout.ends_with("/split.vmdk\n"), "{stdout}");
}

/// What is only read can be converted, with a warning, to what qemu-img makes of it.
#[test]
fn a_dirty_image_is_converted() {
    let Some(images) = Images::new() else { return };
    images.raw("in", MIB);
    images.qemu_img("convert -f raw -O qcow2 in dirty.qcow2");
    File::options().write(true).open(images.path("dirty.qcow2")).unwrap().write_all_at(&[3], 79).unwrap();
    let output = images.disk("convert dirty.qcow2 out");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for mark in ["dirty.qcow2: it is marked as dirty", "dirty.qcow2: it is marked as corrupt"] {
        assert!(stderr.contains(mark), "{stderr}");
    }
    assert!(fs::read(images.path("out")).unwrap() == fs::read(images.path("in")).unwrap());
    images.refused("resize dirty.qcow2 1G", 1, &["is marked as dirty; repair it"]);
}

/// Names on the command line and in the image are bytes.
#[test]
fn a_base_whose_name_is_not_utf8() {
    let Some(images) = Images::new() else { return };
    let name = OsStr::from_bytes(b"b\xe4se.img");
    fs::write(images.0.path().join(name), [7; 512]).unwrap();
    let output = images.command("create -f qcow2 top -F raw -b").arg(name).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let said = images.prints("info top");
    assert!(said.contains("base          b\\xe4se.img, raw\n"), "{said}");
    images.qemu_img("convert -f qcow2 -O raw top out");
    assert_eq!(fs::read(images.path("out")).unwrap(), [7; 512]);
    let json: serde_json::Value = serde_json::from_str(&images.prints("info --json top")).unwrap();
    assert_eq!(json["chain"][0]["qcow2"]["backing_file"], "b\u{fffd}se.img");
}

/// A colon is not the end of a protocol's name, and what follows it is not another file.
#[test]
fn a_base_with_a_colon_in_its_name() {
    let Some(images) = Images::new() else { return };
    fs::write(images.path("base"), [1; 512]).unwrap();
    for (number, name) in ["file:base", "a:b", "json:{}"].into_iter().enumerate() {
        fs::write(images.path(name), [7; 512]).unwrap();
        let (top, out) = (format!("top{number}"), format!("out{number}"));
        images.prints(&format!("create -f qcow2 {top} -F raw -b {name}"));
        images.qemu_img(&format!("convert -f qcow2 -O raw {top} {out}.qemu"));
        images.prints(&format!("convert {top} {out}"));
        for copy in [out.clone(), format!("{out}.qemu")] {
            assert_eq!(fs::read(images.path(&copy)).unwrap(), [7; 512], "{name}");
        }
    }
}

/// As many files as an image has, whatever the soft limit is.
#[test]
fn an_image_of_many_files() {
    let images = Images(TempDir::new().unwrap());
    let mut text = "# Disk DescriptorFile\nversion=1\nCID=1\ncreateType=\"custom\"\n".to_owned();
    for number in 0..100 {
        fs::write(images.path(&format!("part{number}")), [7; 512]).unwrap();
        text += &format!("RW 1 FLAT \"part{number}\" 0\n");
    }
    fs::write(images.path("many.vmdk"), text).unwrap();
    let convert = images.command("convert many.vmdk copy");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 64; exec \"$@\"", "sh"]).arg(convert.get_program());
    let output = limited.args(convert.get_args()).current_dir(&images.0).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(images.path("copy")).unwrap(), [7; 51200]);
}

/// Not even SIGKILL leaves anything, where the file system has files without a name.
#[test]
fn a_killed_copy_leaves_nothing() {
    let images = Images(TempDir::new().unwrap());
    endless(&images);
    if devices::disk::unnamed_file(images.0.path(), 0o600).unwrap().is_none() {
        return eprintln!("skipped: {} has no files without a name", images.0.path().display());
    }
    fs::write(images.path("old"), "old").unwrap();
    let before = images.names();
    for words in [
        "convert endless.vmdk copy",
        "convert -O qcow2 endless.vmdk copy",
        "convert --force endless.vmdk old",
    ] {
        let mut convert = Running::start(&mut images.command(words));
        images.begun(&convert);
        convert.0.kill().unwrap();
        assert_eq!(convert.status(), None);
        assert_eq!(images.names(), before, "{words}");
        assert_eq!(fs::read(images.path("old")).unwrap(), b"old");
    }
}

#[test]
fn an_interrupted_copy_leaves_nothing() {
    let images = Images(TempDir::new().unwrap());
    endless(&images);
    let before = images.names();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut convert = images.heeding_signals("convert endless.vmdk copy");
        let mut convert = Running::start(convert.stderr(Stdio::piped()));
        images.begun(&convert);
        assert!(!images.names().contains(&"copy".to_owned()));
        kill_process(Pid::from_child(&convert.0), Signal::USR1).unwrap();
        support::expect(convert.0.stderr.as_mut().unwrap(), " % of it is done\n");
        kill_process(Pid::from_child(&convert.0), signal).unwrap();
        assert_eq!(convert.status(), Some(status));
        let mut stderr = String::new();
        convert.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "nvmm: interrupted; copy was not made\n");
        assert_eq!(images.names(), before);
    }
}

#[test]
fn progress_is_told_where_it_is_wanted() {
    let images = Images(TempDir::new().unwrap());
    File::create(images.path("disk")).unwrap().write_all_at(&vec![1; 20 << 20], 0).unwrap();
    let tenths: String = (1..=10).map(|tenth| format!("{:3} %\n", tenth * 10)).collect();
    for (options, expected) in [("", ""), ("-q", ""), ("-p", tenths.as_str())] {
        let output = images.disk(&format!("convert {options} disk copy{options}"));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected, "{options}");
    }
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let images = Images(TempDir::new().unwrap());
    images.raw("disk", 48 * MIB);
    // The most that a file may have, in blocks of 1024 bytes: less than the copy, and more than its data.
    let limited = |blocks: &str, words: &str| {
        let program = nvmm().get_program().to_owned();
        let mut sh = Command::new("sh");
        sh.args(["-c", "ulimit -f $1; shift; exec \"$@\"", "sh", blocks]).arg(program).arg("disk");
        sh.args(words.split(' ')).current_dir(&images.0).stdin(Stdio::null()).output().unwrap()
    };
    let output = limited("1000", "convert disk copy");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("copy can't have 48 MiB: File too large"), "{stderr}");
    assert_eq!(images.names(), ["disk"]);
}

#[test]
fn what_is_there_is_not_replaced_unawares() {
    let images = Images(TempDir::new().unwrap());
    images.raw("disk", 20 * MIB);
    fs::write(images.path("copy"), "old").unwrap();
    images.refused("convert disk copy", 1, &["copy is there already", "--force"]);
    assert_eq!(fs::read(images.path("copy")).unwrap(), b"old");
    images.prints("convert --force disk copy");
    assert!(fs::read(images.path("copy")).unwrap() == fs::read(images.path("disk")).unwrap());
    images.refused("convert --force disk disk", 1, &["disk is what the copy is made from"]);
    images.refused("convert --force disk .", 1, &["is no file"]);
    images.refused("convert disk nowhere/copy", 1, &["no file can be made in nowhere: No such file"]);
}

#[test]
fn wrong_words() {
    let images = Images(TempDir::new().unwrap());
    images.raw("disk", 20 * MIB);
    images.refused("convert disk copy.qcow2", 2, &["copy.qcow2 is named as a qcow2 image", "-O qcow2"]);
    images.refused("convert none copy", 1, &["disk none does not exist"]);
    images.refused("convert -f qcow2 disk copy", 1, &["doesn't begin as qcow2 images do"]);
    images.refused("convert -f vmdk disk copy", 1, &["is not a vmdk"]);
    for words in [
        "",
        "info",
        "convert disk",
        "convert -O vmdk disk copy",
        "convert -p -q disk copy",
        "info -f vdi disk",
    ] {
        let output = images.disk(words);
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{words}");
    }
    assert_eq!(images.names(), ["disk"]);
}
