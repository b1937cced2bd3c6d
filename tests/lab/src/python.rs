//! Python packages, unpacked in target/lab and not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;
use crate::build;

/// QEMU's own QMP client, in a fixed version.
const QMP: &str =
    "qemu.qmp==0.0.6 --hash=sha256:5d7c5af0e9de427696e3bf72e333965c3a697929f77f6b7ddc30c989fc7b539b";

/// The directory of Python's QMP client, for `PYTHONPATH`. If pip can't get it, prints that, and the tests that need it are skipped.
pub(crate) fn qmp() -> Option<PathBuf> {
    let dir = build::lab_dir().join("python");
    match unpack(&dir) {
        Ok(()) => Some(dir),
        Err(error) => {
            eprintln!("lab: without Python's qemu.qmp: {error:#}");
            None
        }
    }
}

fn unpack(dir: &Path) -> Result<()> {
    let wanted = dir.with_extension("txt");
    if dir.exists() && fs::read_to_string(&wanted).is_ok_and(|text| text == QMP) {
        return Ok(());
    }
    eprintln!("lab: downloading qemu.qmp");
    fs::create_dir_all(build::lab_dir()).context("making target/lab")?;
    // Unpack to another name and rename it, so that `dir` is complete if it exists.
    let part = dir.with_extension("part");
    for old in [dir, &part] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
        }
    }
    fs::write(&wanted, QMP).with_context(|| format!("writing {}", wanted.display()))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target"]).arg(&part);
    apt::run(pip.arg("--requirement").arg(&wanted))?;
    fs::rename(&part, dir).with_context(|| format!("making {}", dir.display()))
}
