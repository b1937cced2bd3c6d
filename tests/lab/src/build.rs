//! Where things are, and building nvmm as users have it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A release build of nvmm.
#[derive(Debug)]
pub(crate) struct Nvmm {
    /// The binary.
    pub(crate) path: PathBuf,
}

impl Nvmm {
    /// Builds it.
    pub(crate) fn build() -> Result<Self> {
        eprintln!("lab: building nvmm");
        let output = cargo()
            .args(["build", "--release", "--quiet", "--package", "vmm", "--bin", "nvmm"])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .context("starting cargo")?;
        if !output.status.success() {
            bail!("nvmm does not build");
        }
        let path = executable(&String::from_utf8_lossy(&output.stdout)).context("cargo built no nvmm")?;
        Ok(Self { path })
    }
}

/// The last executable in cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(message["executable"].as_str()?.into())
    })
}

/// cargo, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where the lab keeps what it downloads and writes.
pub(crate) fn lab_dir() -> PathBuf {
    root().join("target/lab")
}

#[cfg(test)]
#[path = "build_test.rs"]
mod tests;
