//! The initramfs that every level boots: nvmm as /init, the kernel for the level above, and the modules.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use super::cpio;

/// Where the image has its [`Manifest`], as JSON.
pub const MANIFEST: &str = "nest.json";
/// Where it has the program that the kernel starts.
pub const INIT: &str = "init";
/// Where it has the kernel for the next level.
pub const KERNEL: &str = "vmlinuz";
const MODULES: &str = "modules";

/// What is the same at every level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The last level, which starts no other.
    pub levels: u32,
    /// Kernel parameters for every level, beside those that each needs to work.
    pub cmdline: String,
    /// Kernel parameters for level 1 alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_cmdline: String,
    /// Files in the image beside /init, the kernel and the modules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Modules that find a disk of nvmm's, in load order.
    pub virtio: Vec<String>,
    /// KVM's modules, in load order.
    pub kvm: Vec<String>,
}

impl Manifest {
    /// The names of all files in the image but the manifest itself.
    fn contents(&self) -> Vec<String> {
        let modules = self.virtio.iter().chain(&self.kvm).map(|name| Self::module(name));
        let files = [INIT, KERNEL].map(str::to_owned).into_iter().chain(self.files.iter().cloned());
        files.chain(modules).collect()
    }

    /// Where the image has the module `name`.
    pub fn module(name: &str) -> String {
        format!("{MODULES}/{name}.ko")
    }
}

/// The image's file `name` as /init sees it.
pub fn in_root(name: &str) -> PathBuf {
    Path::new("/").join(name)
}

/// Makes the image that `manifest` describes, from files which `read` gives by their name in the image.
pub fn pack(
    manifest: &Manifest,
    mut read: impl FnMut(&str) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Memfd> {
    let memfd = Memfd::new(c"initramfs").context("making the initramfs")?;
    let mut archive = cpio::Writer::new(BufWriter::new(&memfd.0));
    let mut write = || -> anyhow::Result<()> {
        // The kernel opens its console before /init runs, from here if anywhere.
        for directory in ["dev", "proc", "sys", MODULES] {
            archive.directory(directory)?;
        }
        archive.file(MANIFEST, &serde_json::to_vec(manifest)?)?;
        for name in manifest.contents() {
            archive.file(&name, &read(&name)?)?;
        }
        Ok(())
    };
    write().context("making the initramfs")?;
    archive.finish().and_then(|mut out| out.flush()).context("making the initramfs")?;
    Ok(memfd)
}

/// A file in memory, that a child process opens by [`Memfd::path`].
#[derive(Debug)]
pub struct Memfd(pub(super) File);

impl Memfd {
    /// An empty file; `name` shows in /proc only.
    pub fn new(name: &CStr) -> io::Result<Self> {
        // Not close-on-exec: the child is to have it.
        Ok(Self(rustix::fs::memfd_create(name, MemfdFlags::empty())?.into()))
    }

    /// Its name for this process and its children.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
#[path = "image_test.rs"]
mod tests;
