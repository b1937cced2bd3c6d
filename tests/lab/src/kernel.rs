//! Debian's kernels, unpacked in target/lab and not installed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::apt::{self, Sources};
use crate::build;

/// A kernel, with its modules next to it, as `nvmm nest` expects them.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Debian's name for it.
    pub(crate) name: &'static str,
    /// The bzImage.
    pub(crate) path: PathBuf,
}

impl Kernel {
    /// The kernel for virtual machines, downloaded now or before.
    pub(crate) fn cloud() -> Result<Self> {
        Self::debian("cloud", "linux-image-cloud-amd64", "linux-image-cloud-amd64", || Ok(Sources::default()))
    }

    /// The kernel for any machine, which has more drivers as modules.
    pub(crate) fn generic() -> Result<Self> {
        Self::debian("generic", "linux-image-amd64", "linux-image-amd64", || Ok(Sources::default()))
    }

    /// A newer kernel for virtual machines.
    pub(crate) fn backports() -> Result<Self> {
        let sources = || Sources::backports(&build::lab_dir().join("backports"));
        Self::debian("backports", "linux-image-cloud-amd64", "linux-image-cloud-amd64-backports", sources)
    }

    /// The kernel of the package that the metapackage `meta` refers to, unpacked into `folder` unless it is there.
    fn debian(
        name: &'static str,
        meta: &str,
        folder: &str,
        sources: impl Fn() -> Result<Sources>,
    ) -> Result<Self> {
        let dir = build::lab_dir().join(folder);
        if !dir.exists() {
            let sources = sources()?;
            let package = apt::dependency(meta, &sources)?;
            eprintln!("lab: downloading {package}");
            apt::unpack(&package, &sources, &dir)?;
        }
        let boot = dir.join("boot");
        let entries = fs::read_dir(&boot).with_context(|| format!("reading {}", boot.display()))?;
        let path = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
            .with_context(|| format!("no vmlinuz in {}", boot.display()))?;
        Ok(Self { name, path })
    }
}
