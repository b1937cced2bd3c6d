//! Images for `blk_durable`, and qemu-img's checks of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    blk_plan::{BLOCKS, SECTOR, SECTORS_OF_BLOCK},
    model::Model,
};

const SIZE: u64 = BLOCKS * SECTORS_OF_BLOCK * SECTOR;

/// The kinds of images for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageKind {
    Raw,
    Qcow2,
    /// A qcow2 image over a raw one.
    OverlayOfRaw,
    /// A qcow2 image over a vmdk.
    OverlayOfVmdk,
}

/// A disk created by a test.
pub(crate) struct Image {
    kind: ImageKind,
    folder: PathBuf,
}

impl Image {
    /// Creates one in `folder`, replacing an earlier one.
    pub(crate) fn new(kind: ImageKind, folder: &Path, cluster_size: &str) -> Self {
        let image = Self { kind, folder: folder.to_owned() };
        let options = format!("cluster_size={cluster_size}");
        let create = ["create", "-q", "-f", "qcow2", "-o", &options];
        match kind {
            ImageKind::Raw => {
                // Create an empty one first, so that its space is freed.
                let file = fs::File::create(image.path()).unwrap();
                file.set_len(SIZE).unwrap();
            }
            ImageKind::Qcow2 => {
                image.qemu_img(&[&create[..], &["disk", &SIZE.to_string()]].concat());
            }
            ImageKind::OverlayOfRaw => {
                fs::write(folder.join("base"), Model::base(true)).unwrap();
                image.qemu_img(&[&create[..], &["-F", "raw", "-b", "base", "disk"]].concat());
            }
            ImageKind::OverlayOfVmdk => {
                fs::write(folder.join("raw"), Model::base(true)).unwrap();
                image.qemu_img(&["convert", "-t", "unsafe", "-f", "raw", "-O", "vmdk", "raw", "base"]);
                image.qemu_img(&[&create[..], &["-F", "vmdk", "-b", "base", "disk"]].concat());
            }
        }
        image
    }

    pub(crate) fn kind(&self) -> ImageKind {
        self.kind
    }

    /// Returns whether it has data from the start.
    pub(crate) fn is_filled(&self) -> bool {
        matches!(self.kind, ImageKind::OverlayOfRaw | ImageKind::OverlayOfVmdk)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// The value of `--disk`.
    pub(crate) fn option(&self) -> String {
        let format = if self.kind == ImageKind::Raw { "raw" } else { "qcow2" };
        format!("path={},format={format}", self.path().display())
    }

    /// Frees the space of zeros.
    pub(crate) fn dig_holes(&self) {
        let copy = self.folder.join("copy");
        let copied = Command::new("cp").arg("--sparse=always").arg(self.path()).arg(&copy).status();
        assert!(copied.unwrap().success());
        fs::rename(copy, self.path()).unwrap();
    }

    /// The contents of the disk, after qemu-img has checked the image. Only `leaks` are accepted, if allowed.
    pub(crate) fn read(&self, leaks: bool) -> Vec<u8> {
        if self.kind == ImageKind::Raw {
            return fs::read(self.path()).unwrap();
        }
        let (status, said) = self.run(&["check", "-f", "qcow2", "disk"]);
        // 3: there are leaks, but no errors.
        assert!(status == Some(0) || (leaks && status == Some(3)), "qemu-img check: {status:?}: {said}");
        self.qemu_img(&["convert", "-t", "unsafe", "-f", "qcow2", "-O", "raw", "disk", "raw"]);
        fs::read(self.folder.join("raw")).unwrap()
    }

    fn qemu_img(&self, words: &[&str]) {
        let (status, said) = self.run(words);
        assert_eq!(status, Some(0), "qemu-img {words:?}: {said}");
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = Command::new("qemu-img").args(words).current_dir(&self.folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said.into_owned())
    }
}

/// Returns true if there is no qemu-img for the kind, and prints that the test is skipped, and why.
pub(crate) fn no_qemu_img(kind: ImageKind) -> bool {
    let found = Command::new("qemu-img").arg("--version").output();
    match found {
        Err(error) if kind != ImageKind::Raw => {
            println!("skipped: qemu-img: {error}");
            true
        }
        _ => false,
    }
}
