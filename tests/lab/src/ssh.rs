//! Debian's programs for ssh, with the libraries that they need, in one directory: the emulated levels have no other system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;
use crate::build;

/// The Debian packages that have them.
pub(crate) const PACKAGES: &[&str] = &["dropbear-bin", "openssh-client"];

/// The programs, and their names in the directory. A shell runs the requested command, and `ssh -J` another ssh.
const PROGRAMS: [(&str, &str); 6] = [
    ("/usr/bin/ssh", "ssh"),
    ("/usr/bin/ssh-keygen", "ssh-keygen"),
    ("/usr/sbin/dropbear", "dropbear"),
    ("/usr/bin/dropbearkey", "dropbearkey"),
    ("/bin/dash", "sh"),
    ("/bin/cat", "cat"),
];

/// The directory, created anew.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = build::lab_dir().join("ssh");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let copy = |from: &Path, name: &str| {
        fs::copy(from, folder.join(name)).with_context(|| format!("copying {}", from.display()))
    };
    for (program, name) in PROGRAMS {
        copy(Path::new(program), name)?;
        let output = apt::run(Command::new("ldd").arg(program))?;
        for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
            let name = library.file_name().and_then(|name| name.to_str()).context("a library has no name")?;
            copy(&library, name)?;
        }
    }
    Ok(folder)
}

/// The files listed by ldd, including the loader: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)`.
fn libraries(ldd: &str) -> Vec<PathBuf> {
    ldd.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
#[path = "ssh_test.rs"]
mod tests;
