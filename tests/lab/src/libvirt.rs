//! libvirt's own test files, out of Debian's source package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Sources};
use crate::build;

/// The files to unpack: its version, and the domains with which it tests its QEMU driver, in the folder's old and new name.
const PARTS: [&str; 3] = ["*/meson.build", "*/tests/qemuxml2argvdata/*.xml", "*/tests/qemuxmlconfdata/*.xml"];

/// The directory of the files. If apt can't get them, prints that, and the tests that need them are skipped.
pub(crate) fn source() -> Option<PathBuf> {
    let dir = build::lab_dir().join("libvirt");
    match unpack(&dir) {
        Ok(()) => Some(dir),
        Err(error) => {
            eprintln!("lab: without libvirt's test files: {error:#}");
            None
        }
    }
}

fn unpack(dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    eprintln!("lab: downloading libvirt's source");
    let sources = Sources::of_sources(&build::lab_dir().join("sources"))?;
    // Unpack to another name and rename it, so that `dir` is complete if it exists.
    let part = dir.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("removing {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
    let archive = apt::source("libvirt", &sources, &part)?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&part);
    // Each version has only one of the folders.
    let unpacked =
        apt::run(tar.args(["--strip-components=1", "--wildcards", "--no-wildcards-match-slash"]).args(PARTS));
    let has_tests =
        ["qemuxml2argvdata", "qemuxmlconfdata"].iter().any(|name| part.join("tests").join(name).is_dir());
    if !has_tests {
        unpacked.context("unpacking libvirt's tests")?;
    }
    for entry in fs::read_dir(&part).with_context(|| format!("reading {}", part.display()))? {
        let path = entry?.path();
        if path.is_file() && path.file_name().is_some_and(|name| name != "meson.build") {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    fs::rename(&part, dir).with_context(|| format!("making {}", dir.display()))
}
