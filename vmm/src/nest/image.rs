//! The initramfs that every level boots: nvmm as /init, the kernel for the next level, and the modules.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use super::cpio;
use super::exec::program::Program;

/// The path of the program that the kernel starts.
pub const INIT: &str = "init";
/// The folder for nvmm's other files, so that the user's files may have any other name.
pub const DIRECTORY: &str = "nest";
/// The path of the [`Manifest`], as JSON.
pub const MANIFEST: &str = "nest/manifest.json";
/// The path of the next level's kernel.
pub const KERNEL: &str = "nest/vmlinuz";
/// The path of the archive with the user's program and its files, which the last level unpacks.
pub const FILES: &str = "nest/files.cpio";
/// The folder for modules.
pub const MODULES: &str = "nest/modules";

/// The settings that are the same at every level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of the last level.
    pub levels: u32,
    /// Kernel parameters for every level, in addition to those that each needs.
    pub cmdline: String,
    /// Kernel parameters for level 1 only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_cmdline: String,
    /// Files in the image beside /init, the kernel and the modules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The modules for nvmm's disks, in load order.
    pub virtio: Vec<String>,
    /// KVM's modules, in load order.
    pub kvm: Vec<String>,
    /// The modules that show MSRs, if the kernel has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub msr: Vec<String>,
    /// The user's program, for the last level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// The settings of level 1 that the other levels don't have.
    #[serde(default)]
    pub first: First,
    /// The time limits for levels.
    #[serde(default)]
    pub pace: Pace,
    /// The last level waits for a program that is not known yet.
    #[serde(default)]
    pub keep: bool,
    /// The last level makes exits that those below it measure.
    #[serde(default)]
    pub explain: bool,
}

/// Level 1's own options, in the form of nvmm's command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// `--cpu`; by default host-passthrough.
    pub cpu: Option<String>,
    /// `--smp`; by default two vCPUs.
    pub smp: Option<String>,
    /// `--memory`; by default what the levels above need.
    pub memory: Option<String>,
    /// `--disk`, after the disk of the disk check.
    pub disks: Vec<OsString>,
}

/// The time limit for levels, and who checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Seconds from a level's start to the next level's start, or to its end.
    pub limit: u64,
    /// Only the host checks it, by its emulator's time; otherwise each level checks the next one, by its own clock.
    pub alone: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { limit: 120, alone: false }
    }
}

impl Manifest {
    /// The names of all files in the image, except for the manifest itself.
    fn contents(&self) -> Vec<String> {
        let modules = self.virtio.iter().chain(&self.kvm).chain(&self.msr).map(|name| Self::module(name));
        let files = [INIT, KERNEL].map(str::to_owned).into_iter().chain(self.files.iter().cloned());
        files.chain(modules).collect()
    }

    /// The manifest of `level`'s image: the last one contains the user's files themselves.
    #[must_use]
    pub fn at(&self, level: u32) -> Self {
        let mut manifest = self.clone();
        if level == self.levels {
            manifest.files.retain(|name| name != FILES);
        }
        manifest
    }

    /// The path of the module `name`.
    pub fn module(name: &str) -> String {
        format!("{MODULES}/{name}.ko")
    }
}

/// The path of the image's file `name` for /init.
pub fn in_root(name: &str) -> PathBuf {
    Path::new("/").join(name)
}

/// Makes the image described by `manifest`. `read` returns the contents of files by their names in the image.
pub fn pack(
    manifest: &Manifest,
    mut read: impl FnMut(&str) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Memfd> {
    let memfd = Memfd::new(c"initramfs").context("making the initramfs")?;
    let mut archive = cpio::Writer::new(memfd.writer());
    let mut write = || -> anyhow::Result<()> {
        // The kernel opens its console before /init runs, and it can only be here.
        for directory in ["dev", "proc", "sys", DIRECTORY, MODULES] {
            archive.directory(directory, 0o755)?;
        }
        archive.file(MANIFEST, 0o644, &serde_json::to_vec(manifest)?)?;
        for name in manifest.contents() {
            archive.file(&name, 0o755, &read(&name)?)?;
        }
        Ok(())
    };
    write().context("making the initramfs")?;
    archive.finish().and_then(|mut out| out.flush()).context("making the initramfs")?;
    Ok(memfd)
}

/// Adds a file to `image` in a further archive: the kernel unpacks one archive after the other. Linux, "initramfs buffer format".
pub fn append(image: &Memfd, name: &str, data: &[u8]) -> io::Result<()> {
    let mut archive = cpio::Writer::new(BufWriter::new(aligned_end(image)?));
    archive.file(name, 0o644, data)?;
    archive.finish()?.flush()
}

/// Adds the files of another archive to `image`.
pub(super) fn append_archive(image: &Memfd, archive: &Path) -> io::Result<()> {
    io::copy(&mut File::open(archive)?, &mut aligned_end(image)?)?;
    Ok(())
}

/// The end of `image`, where the next archive can begin.
fn aligned_end(image: &Memfd) -> io::Result<&File> {
    let mut file = &image.0;
    let end = file.seek(SeekFrom::End(0))?;
    file.write_all(&[0; 4][..usize::try_from(end.wrapping_neg() % 4).unwrap_or_default()])?;
    Ok(file)
}

/// A file in memory that a child process opens by [`Memfd::path`].
#[derive(Debug)]
pub struct Memfd(pub(super) File);

impl Memfd {
    /// Makes an empty file. `name` is only shown in /proc.
    pub fn new(name: &CStr) -> io::Result<Self> {
        // Without close-on-exec, since the child has to have it.
        Ok(Self(rustix::fs::memfd_create(name, MemfdFlags::empty())?.into()))
    }

    /// A writer that appends to it.
    pub(super) fn writer(&self) -> BufWriter<&File> {
        BufWriter::new(&self.0)
    }

    /// The path for this process and its children.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
#[path = "image_test.rs"]
mod tests;
