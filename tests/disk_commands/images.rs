//! A directory of images for nvmm and qemu-img.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::support::{Running, in_time, nvmm};

pub(crate) const MIB: u64 = 1 << 20;

/// A directory of images for nvmm and qemu-img.
pub(crate) struct Images(pub(crate) TempDir);

impl Images {
    /// Prints that a test is skipped if there is no qemu-img, and why.
    pub(crate) fn new() -> Option<Self> {
        match Command::new("qemu-img").arg("--version").output() {
            Ok(_) => Some(Self(TempDir::new().unwrap())),
            Err(error) => {
                eprintln!("skipped: qemu-img: {error}");
                None
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = nvmm();
        command.arg("disk").args(words.split_whitespace()).current_dir(&self.0);
        command
    }

    /// A command with no signal ignored, even if the test runs as a background job, whose signals are ignored.
    pub(crate) fn heeding_signals(&self, words: &str) -> Command {
        let command = self.command(words);
        let mut env = Command::new("env");
        env.arg("--default-signal").arg(command.get_program()).args(command.get_args()).current_dir(&self.0);
        env
    }

    pub(crate) fn disk(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// Returns the output; nothing may be printed on stderr.
    #[track_caller]
    pub(crate) fn prints(&self, words: &str) -> String {
        let output = self.disk(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Checks that it fails with `status` and one line that contains all of `parts`, and creates nothing.
    #[track_caller]
    pub(crate) fn refused(&self, words: &str, status: i32, parts: &[&str]) {
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
    pub(crate) fn qemu_img(&self, words: &str) -> String {
        let output =
            Command::new("qemu-img").args(words.split_whitespace()).current_dir(&self.0).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "qemu-img {words}: {said}");
        said.into_owned()
    }

    /// Checks that qemu-img finds neither a leak nor an error in a qcow2 image.
    #[track_caller]
    pub(crate) fn sound(&self, name: &str) {
        let said = self.qemu_img(&format!("check -f qcow2 {name}"));
        assert!(said.contains("No errors were found on the image"), "{name}: {said}");
    }

    /// Waits until a copy has opened its output file, named or not. From then on it handles signals.
    #[track_caller]
    pub(crate) fn begun(&self, copy: &Running) {
        let folder = fs::canonicalize(&self.0).unwrap();
        let is_copy = |path: &PathBuf| {
            let name = path.as_os_str().to_string_lossy();
            path.starts_with(&folder) && (name.ends_with(" (deleted)") || name.ends_with(".partial"))
        };
        let has_begun = || {
            let files = fs::read_dir(format!("/proc/{}/fd", copy.0.id())).unwrap();
            files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).filter(is_copy).count() > 0
        };
        assert!(in_time(has_begun), "nvmm did not begin to write the copy");
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A raw file with data in some places, written zeros, and holes.
    pub(crate) fn raw(&self, name: &str, size: u64) {
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

    pub(crate) fn allocated(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().blocks() * 512
    }

    /// Checks that the raw image `name` equals the one that qemu-img makes of `from`.
    #[track_caller]
    pub(crate) fn same_as_qemu_img(&self, from: &str, name: &str) {
        self.qemu_img(&format!("convert -t unsafe -O raw {from} theirs"));
        assert!(fs::read(self.path(name)).unwrap() == fs::read(self.path("theirs")).unwrap(), "{from}");
        let (ours, theirs) = (self.allocated(name), self.allocated("theirs"));
        // nvmm looks for zeros in larger units.
        assert!(ours <= theirs + MIB, "{from}: {ours} bytes taken, and not {theirs}");
    }

    /// Images in all formats that qemu-img can create from the raw file `from`.
    pub(crate) fn of_every_kind(&self, from: &str) -> Vec<String> {
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

    /// A vmdk of 1 TiB of zeros that have to be read: the same flat file over and over.
    pub(crate) fn endless(&self) {
        File::create(self.path("zeros")).unwrap().set_len(2 << 30).unwrap();
        let line = "RW 4194304 FLAT \"zeros\" 0\n";
        let text = format!(
            "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\n{}",
            line.repeat(512)
        );
        fs::write(self.path("endless.vmdk"), text).unwrap();
    }
}
