//! Debian's own system on a disk image, for the scenarios. It is made once, and kept in target/lab.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::apt;
use crate::build;
use crate::kernel::Kernel;

/// The Debian packages that make it.
pub(crate) const PACKAGES: &[&str] = &["genext2fs", "mmdebstrap"];

/// The Debian packages in it, besides the essential ones: those that start a system, and those that read its clock and tables.
const INCLUDED: &str = "systemd-sysv,udev,kmod,dbus,dmidecode,util-linux-extra";
/// Files of packages that are not needed there.
pub(crate) const EXCLUDED: [&str; 3] = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"];

/// The root's password, which the scenario types.
pub(crate) const ACCOUNT: &str = "root:lab";

/// The size: blocks of 4 KiB; empty ones take no space. About a quarter is free.
const BLOCKS: &str = "131072";
const INODES: &str = "32768";

/// The image, made now or before: this machine's release of Debian, from the mirror that the machine uses, with the modules of `kernel`,
/// which itself is not included.
pub(crate) fn image(kernel: &Kernel) -> Result<PathBuf> {
    let image = build::lab_dir().join("system.ext2");
    let arguments = arguments(kernel, &apt::here()?)?;
    made_once(&[&image], &arguments.join("\n"), || {
        eprintln!("lab: making a disk of Debian's system");
        let part = image.with_extension("part");
        make(&arguments, &part, BLOCKS)?;
        fs::rename(&part, &image).with_context(|| format!("making {}", image.display()))
    })?;
    Ok(image)
}

/// Calls `make` unless it has made `files` by the same recipe before. The recipe is stored next to the first of them.
pub(crate) fn made_once(files: &[&Path], recipe: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let kept = files[0].with_extension("recipe");
    let is_same = fs::read_to_string(&kept).is_ok_and(|kept| kept == recipe);
    if is_same && files.iter().all(|file| file.exists()) {
        return Ok(());
    }
    make()?;
    fs::write(&kept, recipe).with_context(|| format!("writing {}", kept.display()))
}

/// Makes the file system `part` of `blocks` blocks, with the output of mmdebstrap.
pub(crate) fn make(arguments: &[String], part: &Path, blocks: &str) -> Result<()> {
    let tar = part.with_extension("tar");
    let made = mmdebstrap(arguments, &tar).and_then(|()| {
        let mut command = Command::new("genext2fs");
        command.arg("--tarball").arg(&tar).args(["--block-size", "4096", "--size-in-blocks", blocks]);
        apt::run(command.args(["--number-of-inodes", INODES, "--allow-holes"]).arg(part)).map(drop)
    });
    // It may be incomplete.
    let _ = fs::remove_file(&tar);
    made
}

/// Writes mmdebstrap's archive to `tar`.
pub(crate) fn mmdebstrap(arguments: &[String], tar: &Path) -> Result<()> {
    let file = File::create(tar).with_context(|| format!("making {}", tar.display()))?;
    apt::run(apt::as_root("mmdebstrap").args(arguments).stdout(file)).map_err(|error| {
        let first = first_error(&error.to_string()).map(|line| anyhow!("mmdebstrap failed: {line}"));
        first.unwrap_or(error)
    })?;
    Ok(())
}

/// The cause of a failure in the output of mmdebstrap and of apt in it.
fn first_error(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("E: "))
}

/// mmdebstrap's arguments to write an archive to its standard output.
fn arguments(kernel: &Kernel, source: &apt::Here) -> Result<Vec<String>> {
    let name = kernel.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let release = name.as_deref().and_then(|name| name.strip_prefix("vmlinuz-"));
    let release = release.with_context(|| format!("{} names no release", kernel.path.display()))?;
    let unpacked = kernel.path.ancestors().nth(2).unwrap_or(Path::new("/"));
    let modules = unpacked.join("lib/modules");
    let mut arguments = vec!["--variant=essential".to_owned(), format!("--include={INCLUDED}")];
    arguments.extend(EXCLUDED.map(|path| format!("--dpkgopt=path-exclude={path}")));
    arguments.extend([
        format!("--customize-hook=copy-in '{}' /usr/lib", modules.display()),
        format!("--customize-hook=chroot \"$1\" depmod {release}"),
        format!("--customize-hook=echo {ACCOUNT} | chroot \"$1\" chpasswd"),
        source.release.clone(),
        "-".to_owned(),
        source.line(""),
    ]);
    Ok(arguments)
}

#[cfg(test)]
#[path = "system_test.rs"]
mod tests;
