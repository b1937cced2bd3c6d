//! The paths of files, and builds of nvmm with the users' profile.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Builds `binary` of `package` as users do, and returns its path.
pub(crate) fn release(package: &str, binary: &str) -> Result<PathBuf> {
    eprintln!("lab: building {binary}");
    let output = cargo()
        .args(["build", "--release", "--quiet", "--message-format=json-render-diagnostics"])
        .args(["--package", package, "--bin", binary])
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("{binary} does not build");
    }
    executable(&String::from_utf8_lossy(&output.stdout), binary)
        .with_context(|| format!("cargo built no {binary}"))
}

/// The executable of the binary `name` in cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == name).then(|| path.into())
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

/// The directory for all files that the lab downloads and creates.
pub(crate) fn lab_dir() -> PathBuf {
    root().join("target/lab")
}

#[cfg(test)]
#[path = "build_test.rs"]
mod tests;
