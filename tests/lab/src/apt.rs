//! Debian packages: which are missing, installing them, and unpacking one without installing it.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// What unit tests use where they find it.
pub(crate) const UNIT_TESTS: &[&str] = &["acpica-tools", "qemu-system-x86", "qemu-utils"];

/// Installs those of `packages` that are missing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<_> = packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("lab: installing {}", missing.join(" "));
    run(as_root("apt-get").args(["update", "-qq"]))?;
    run(as_root("apt-get")
        .args(["install", "-qq", "--yes", "--no-install-recommends"])
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(())
}

/// The package that `meta` stands for: the first that it depends on.
pub(crate) fn dependency(meta: &str) -> Result<String> {
    run(as_root("apt-get").args(["update", "-qq"]))?;
    let output = run(Command::new("apt-cache").args(["depends", meta]))?;
    first_dependency(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("apt-cache knows no {meta}: this needs Debian's packages"))
}

fn first_dependency(output: &str) -> Option<String> {
    output.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned)
}

/// Downloads `package` and unpacks it into `to`, which must not be there yet.
pub(crate) fn unpack(package: &str, to: &Path) -> Result<()> {
    // Unpacked beside and renamed, so that `to` is whole if it is there.
    let part = to.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part).with_context(|| format!("removing {}", part.display()))?;
    }
    std::fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
    run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&part))?;
    let archives = std::fs::read_dir(&part)?.collect::<Result<Vec<_>, _>>()?;
    let archive = archives
        .iter()
        .map(std::fs::DirEntry::path)
        .find(|path| path.extension().is_some_and(|e| e == "deb"));
    let archive = archive.with_context(|| format!("apt-get download left no {package}"))?;
    run(Command::new("dpkg").arg("--extract").arg(&archive).arg(&part))?;
    std::fs::remove_file(&archive).with_context(|| format!("removing {}", archive.display()))?;
    std::fs::rename(&part, to).with_context(|| format!("making {}", to.display()))
}

fn installed(package: &str) -> bool {
    let query =
        Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}\n{}", arguments.join(" "), output.status, errors.trim_end());
    }
    Ok(output)
}

#[cfg(test)]
#[path = "apt_test.rs"]
mod tests;
