//! The kernel to boot at every level, and its modules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A kernel image.
#[derive(Debug)]
pub struct Kernel {
    /// The file.
    pub path: PathBuf,
    /// The file's contents.
    pub image: Vec<u8>,
    /// The release, if it is a bzImage, which contains it.
    pub release: Option<String>,
}

impl Kernel {
    /// Finds the kernel at `path`, by default the running one.
    ///
    /// # Errors
    ///
    /// There is no kernel, it can't be read, or the file is something else.
    pub fn find(path: Option<&Path>) -> anyhow::Result<Self> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => running()?,
        };
        let image = fs::read(&path).with_context(|| format!("reading the kernel {}", path.display()))?;
        let release = release(&image).map(str::to_owned);
        if release.is_none() && !image.starts_with(b"\x7fELF") {
            bail!("{} is not a kernel: neither a bzImage nor an ELF file", path.display());
        }
        Ok(Self { path, image, release })
    }

    /// The directory of its modules: for `boot/vmlinuz-R`, they are in `lib/modules/R`, whether installed or unpacked anywhere.
    ///
    /// # Errors
    ///
    /// The modules are not there, or the image doesn't contain its release.
    pub fn modules(&self) -> anyhow::Result<PathBuf> {
        let Some(release) = &self.release else {
            bail!(
                "{} doesn't tell its release: say where its modules are (--modules DIR)",
                self.path.display()
            );
        };
        let path = fs::canonicalize(&self.path).context("finding the kernel's modules")?;
        let above = path.ancestors().skip(1).map(|dir| dir.join("lib/modules").join(release));
        // Some distributions keep the kernel as `lib/modules/R/vmlinuz`, next to the modules.
        let beside = path.parent().map(Path::to_owned);
        let candidates = above.chain(beside.filter(|dir| dir.ends_with(release)));
        candidates.into_iter().find(|dir| dir.is_dir()).with_context(|| {
            format!(
                "no lib/modules/{release} near {}: say where they are (--modules DIR)",
                self.path.display()
            )
        })
    }
}

/// The places where distributions keep the running kernel.
fn running() -> anyhow::Result<PathBuf> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let places = [format!("/boot/vmlinuz-{release}"), format!("/lib/modules/{release}/vmlinuz")];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.with_context(|| {
        format!("neither {} is there: say which kernel (--kernel FILE)", places.join(" nor "))
    })
}

/// Linux, "The Linux/x86 Boot Protocol", `kernel_version`: the offset, less 0x200, of a string that begins with the release.
fn release(image: &[u8]) -> Option<&str> {
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let pointer: [u8; 2] = image.get(0x20e..0x210)?.try_into().ok()?;
    let text = image.get(0x200 + usize::from(u16::from_le_bytes(pointer))..)?;
    let end = text.iter().position(|&byte| byte == b' ' || byte == 0)?;
    std::str::from_utf8(&text[..end]).ok().filter(|release| !release.is_empty())
}

#[cfg(test)]
#[path = "kernel_test.rs"]
mod tests;
