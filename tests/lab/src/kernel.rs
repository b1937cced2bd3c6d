//! Debian's cloud kernel, unpacked under target/lab and not installed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{apt, build};

/// What stands for Debian's current cloud kernel.
const META: &str = "linux-image-cloud-amd64";

/// A kernel with its modules beside it, as `nvmm nest` expects them.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// The bzImage.
    pub(crate) path: PathBuf,
}

impl Kernel {
    /// The one downloaded before, or now.
    pub(crate) fn debian() -> Result<Self> {
        let dir = build::lab_dir().join("debian-cloud");
        if !dir.exists() {
            let package = apt::dependency(META)?;
            eprintln!("lab: downloading {package}");
            apt::unpack(&package, &dir)?;
        }
        let boot = dir.join("boot");
        let entries = fs::read_dir(&boot).with_context(|| format!("reading {}", boot.display()))?;
        let path = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
            .with_context(|| format!("no vmlinuz in {}", boot.display()))?;
        Ok(Self { path })
    }
}
