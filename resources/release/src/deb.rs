//! nvmm's Debian package, by dpkg-deb.
//!
//! Not by cargo-deb: that has to be built first where only Rust and apt are, knows nothing of files that a program makes, such as man
//! pages, and calls dpkg's own tools, too.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    installed::{self, DOC, Installed},
    run,
};

/// The package's number behind that of nvmm: 1 for the first package of a version.
const REVISION: u32 = 1;
const MAINTAINER: &str = "nvmm maintainers <maintainers@nvmm.invalid>";

/// The text about the package in lists of packages.
const DESCRIPTION: &str = "\
Description: KVM hypervisor for nested virtualization
 nvmm boots virtual machines that run KVM themselves: their CPU is the host's,
 one of QEMU's models or one of libvirt's, with VMX or SVM and everything that
 belongs to it. nvmm check says whether this host can nest, and what to do if
 not; nvmm nest proves it, by booting Linux in Linux.
 .
 It takes QEMU's command line and libvirt's XML, starts kernels, cloud images
 and whole disks by SeaBIOS or OVMF, saves and moves machines, and confines each
 of its threads.
";

/// The reason for what lintian has to say.
const LINTIAN: &str = "\
# nvmm is also the first program of the guests that it boots for nvmm nest, where no library is.
nvmm: statically-linked-binary
# The package is nvmm's own, and none of Debian's.
nvmm: initial-upload-closes-no-bugs
";

/// The way in which the package is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As small as dpkg can.
    Small,
    /// Not at all.
    #[cfg(test)]
    Quick,
}

/// Builds the package in the folder `to` of the files that every installation has, for a release of the `day`.
///
/// # Errors
///
/// dpkg-deb, md5sum or date fails, or a file can't be written.
pub(crate) fn build(
    files: &[Installed],
    repository: &Path,
    day: &str,
    to: &Path,
    packing: Packing,
) -> Result<PathBuf> {
    let version = format!("{}-{REVISION}", env!("CARGO_PKG_VERSION"));
    let stage = tempfile::tempdir_in(to).with_context(|| format!("making a folder in {}", to.display()))?;
    let root = stage.path().join("root");
    let own = own_files(repository, day, &version)?;
    installed::folder(&root.join("etc/nvmm"))?;
    installed::write(&own, &root)?;
    for file in files {
        let path = format!("usr/{}", file.path.replace("zsh/site-functions", "zsh/vendor-completions"));
        let bytes = file.bytes.clone();
        installed::write(&[Installed { path, bytes, mode: file.mode }], &root)?;
    }
    let size: u64 = files.iter().chain(&own).map(|file| (file.bytes.len() as u64).div_ceil(1024)).sum();
    let sums = run(Command::new("sh")
        .args(["-c", "find usr -type f | LC_ALL=C sort | xargs md5sum"])
        .current_dir(&root))?;
    let control = [("control", control(&version, size)), ("md5sums", sums)];
    installed::write(&control.map(|(name, text)| Installed::data(format!("DEBIAN/{name}"), text)), &root)?;
    let package = to.join(format!("nvmm_{version}_amd64.deb"));
    let compression = match packing {
        Packing::Small => "-Zxz",
        #[cfg(test)]
        Packing::Quick => "-Znone",
    };
    let mut dpkg = Command::new("dpkg-deb");
    // Files of the day, so that the same sources give the same package.
    dpkg.env("SOURCE_DATE_EPOCH", run(Command::new("date").args(["-u", "+%s", "-d", day]))?.trim());
    run(dpkg.args(["--root-owner-group", compression, "--build"]).arg(&root).arg(&package))?;
    Ok(package)
}

/// The files that only the package has.
fn own_files(repository: &Path, day: &str, version: &str) -> Result<Vec<Installed>> {
    let read =
        |name: &str| fs::read_to_string(repository.join(name)).with_context(|| format!("reading {name}"));
    let date = run(Command::new("date").args(["-u", "-R", "-d", day]).env("LC_ALL", "C"))?;
    let changes = format!(
        "nvmm ({version}) unstable; urgency=medium\n\n  * nvmm {}; changelog.gz tells what is new.\n\n -- {MAINTAINER}  {date}",
        env!("CARGO_PKG_VERSION")
    );
    Ok(vec![
        Installed::data(format!("usr/{DOC}/copyright"), copyright(&read("LICENSE-BSD-3-Clause")?)),
        Installed::compressed(&format!("usr/{DOC}/changelog"), read("CHANGELOG.md")?.as_bytes())?,
        Installed::compressed(&format!("usr/{DOC}/changelog.Debian"), changes.as_bytes())?,
        Installed::data("usr/share/lintian/overrides/nvmm", LINTIAN),
    ])
}

/// The control file, for files of `size` KiB.
fn control(version: &str, size: u64) -> String {
    format!(
        "Package: nvmm\n\
         Version: {version}\n\
         Architecture: amd64\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {size}\n\
         Recommends: passt, seabios\n\
         Suggests: ovmf, qemu-system-data\n\
         Section: admin\n\
         Priority: optional\n\
         {DESCRIPTION}"
    )
}

/// The copyright file, in Debian's form.
fn copyright(bsd: &str) -> String {
    let mut text = String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: nvmm
Comment:
 The program has code of other people's crates in it, whose licences are in
 /usr/share/doc/nvmm/THIRD-PARTY.gz, and the GNU C Library, LGPL-2.1-or-later,
 see /usr/share/common-licenses/LGPL-2.1. Pass it on together with nvmm's
 source, so that it can be linked anew.

Files: *
Copyright: 2026 the authors of nvmm
License: Apache-2.0 or BSD-3-Clause

License: Apache-2.0
 On Debian systems the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.

License: BSD-3-Clause
",
    );
    for line in bsd.trim_end().lines() {
        // Writing to a string can't fail.
        let _ = writeln!(text, " {}", if line.is_empty() { "." } else { line });
    }
    text
}

#[cfg(test)]
#[path = "deb_test.rs"]
mod tests;
