//! An archive of nvmm for every other Linux: its files as they lie below `/usr/local`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    installed::{self, DOC, Installed},
    run,
};

/// Documents that a Debian package has in a form of its own.
const DOCUMENTS: [&str; 3] = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-BSD-3-Clause"];

/// Makes the archive in the folder `to` of the files that every installation has, for a release of the `day`.
///
/// # Errors
///
/// tar fails, or a file can't be written.
pub(crate) fn build(files: &[Installed], repository: &Path, day: &str, to: &Path) -> Result<PathBuf> {
    let name = concat!("nvmm-", env!("CARGO_PKG_VERSION"));
    let stage = tempfile::tempdir_in(to).with_context(|| format!("making a folder in {}", to.display()))?;
    let root = stage.path().join(name);
    installed::write(files, &root)?;
    for document in DOCUMENTS {
        let bytes = fs::read(repository.join(document)).with_context(|| format!("reading {document}"))?;
        installed::write(&[Installed::data(format!("{DOC}/{document}"), bytes)], &root)?;
    }
    let archive = to.join(format!("{name}-x86_64-linux.tar.gz"));
    let mut tar = Command::new("tar");
    // Without what differs from one machine to the next.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--use-compress-program=gzip -9n"]);
    tar.arg(format!("--mtime={day} 00:00:00 UTC")).arg("--create").arg("--file").arg(&archive);
    run(tar.arg("--directory").arg(stage.path()).arg(name))?;
    Ok(archive)
}

#[cfg(test)]
#[path = "archive_test.rs"]
mod tests;
