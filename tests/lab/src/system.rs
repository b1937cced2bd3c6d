//! Debian's own system on a disk image, for the scenarios. It is made once, and kept under target/lab.

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
/// Files of packages that nobody reads there.
const EXCLUDED: [&str; 3] = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"];

/// Its root's password, which the scenario types.
const ACCOUNT: &str = "root:lab";

/// Its size: blocks of 4 KiB, of which those that hold nothing take no space. The last quarter or so is free.
const BLOCKS: &str = "131072";
const INODES: &str = "32768";

/// The image, made before or now: this machine's release of Debian, from the mirror that the machine uses, with the modules of
/// `kernel`, which is not in it.
pub(crate) fn image(kernel: &Kernel) -> Result<PathBuf> {
    let dir = build::lab_dir();
    let (image, recipe) = (dir.join("system.ext2"), dir.join("system.recipe"));
    let arguments = arguments(kernel, &apt::here()?)?;
    let wanted = arguments.join("\n");
    if image.exists() && fs::read_to_string(&recipe).is_ok_and(|recipe| recipe == wanted) {
        return Ok(image);
    }
    eprintln!("lab: making a disk of Debian's system");
    let (tar, part) = (dir.join("system.tar"), dir.join("system.part"));
    let made = make(&arguments, &tar, &part);
    // It may be there in part.
    let _ = fs::remove_file(&tar);
    made?;
    fs::rename(&part, &image).with_context(|| format!("making {}", image.display()))?;
    fs::write(&recipe, wanted).with_context(|| format!("writing {}", recipe.display()))?;
    Ok(image)
}

fn make(arguments: &[String], tar: &Path, part: &Path) -> Result<()> {
    let file = File::create(tar).with_context(|| format!("making {}", tar.display()))?;
    apt::run(apt::as_root("mmdebstrap").args(arguments).stdout(file)).map_err(|error| {
        let first = first_error(&error.to_string()).map(|line| anyhow!("mmdebstrap failed: {line}"));
        first.unwrap_or(error)
    })?;
    let mut command = Command::new("genext2fs");
    command.arg("--tarball").arg(tar).args(["--block-size", "4096", "--size-in-blocks", BLOCKS]);
    apt::run(command.args(["--number-of-inodes", INODES, "--allow-holes"]).arg(part))?;
    Ok(())
}

/// The cause of a failure, in all that mmdebstrap, and apt in it, say of one.
fn first_error(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("E: "))
}

/// mmdebstrap's, which then writes an archive to its standard output.
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
