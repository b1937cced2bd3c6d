//! The initramfs that every level boots: nvmm as /init, the kernel for the level above, and the modules.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use anyhow::Context;
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use super::cpio;

/// Names in the image: [`Manifest`] as JSON, nvmm, and the kernel.
pub(super) const MANIFEST: &str = "nest.json";
pub(super) const INIT: &str = "init";
pub(super) const KERNEL: &str = "vmlinuz";
const MODULES: &str = "modules";

/// What is the same at every level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The last level, which starts no other.
    pub(super) levels: u32,
    /// Kernel parameters for every level, beside those that each needs to work.
    pub(super) cmdline: String,
    /// Modules that find a disk of nvmm's, in load order.
    pub(super) virtio: Vec<String>,
    /// KVM's modules, in load order.
    pub(super) kvm: Vec<String>,
}

impl Manifest {
    /// Where the image has the module `name`.
    pub(super) fn module(name: &str) -> String {
        format!("{MODULES}/{name}.ko")
    }
}

/// Makes the image that `manifest` describes, from files which `read` gives by their name in the image.
pub(super) fn pack(
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
        for name in [INIT, KERNEL] {
            archive.file(name, &read(name)?)?;
        }
        for name in manifest.virtio.iter().chain(&manifest.kvm) {
            let name = Manifest::module(name);
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
pub(super) struct Memfd(pub(super) File);

impl Memfd {
    /// An empty file; `name` shows in /proc only.
    pub(super) fn new(name: &CStr) -> io::Result<Self> {
        // Not close-on-exec: the child is to have it.
        Ok(Self(rustix::fs::memfd_create(name, MemfdFlags::empty())?.into()))
    }

    /// Its name for this process and its children.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
#[path = "image_test.rs"]
mod tests;
