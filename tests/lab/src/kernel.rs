//! Debian's kernels, unpacked under target/lab and not installed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{apt, build};

/// A kernel with its modules beside it, as `nvmm nest` expects them.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What Debian calls it.
    pub(crate) name: &'static str,
    /// The bzImage.
    pub(crate) path: PathBuf,
}

impl Kernel {
    /// The one for virtual machines, downloaded before or now.
    pub(crate) fn cloud() -> Result<Self> {
        Self::debian("cloud", "linux-image-cloud-amd64")
    }

    /// The one for any machine, with more of it in modules.
    pub(crate) fn generic() -> Result<Self> {
        Self::debian("generic", "linux-image-amd64")
    }

    fn debian(name: &'static str, meta: &str) -> Result<Self> {
        let dir = build::lab_dir().join(meta);
        if !dir.exists() {
            let package = apt::dependency(meta)?;
            eprintln!("lab: downloading {package}");
            apt::unpack(&package, &dir)?;
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
