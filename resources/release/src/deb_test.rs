use std::{collections::BTreeSet, os::unix::fs::PermissionsExt};

use super::*;
use crate::{changelog, files, repository};

/// The nvmm that cargo has built beside this test, for those of the package `vmm`.
fn nvmm() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let nvmm = test.ancestors().nth(2).unwrap().join("nvmm");
    if !nvmm.exists() {
        println!("skipped: there is no {}: cargo build", nvmm.display());
        return None;
    }
    Some(nvmm)
}

/// A folder that is the root of a system for dpkg.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["info", "updates"] {
            fs::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).unwrap();
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        Self(root)
    }

    fn dpkg(&self, words: &[&str]) -> String {
        let mut dpkg = Command::new("dpkg");
        // Users' paths may lack what dpkg looks for.
        dpkg.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("--root").arg(self.0.path());
        // Nobody needs the files after a power failure.
        dpkg.arg("--force-unsafe-io").args(words);
        run(&mut dpkg).unwrap()
    }

    /// All files and folders with their permissions, without dpkg's notes.
    fn files(&self) -> BTreeSet<(PathBuf, u32)> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
                let (path, metadata) = (entry.path(), entry.metadata().unwrap());
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                let path = path.strip_prefix(self.0.path()).unwrap().to_owned();
                if !path.starts_with("var/lib/dpkg") {
                    files.insert((path, metadata.permissions().mode() & 0o7777));
                }
            }
        }
        files
    }

    /// Runs a program in the root, where nothing but the package is.
    fn run(&self, words: &[&str]) -> String {
        run(Command::new("chroot").arg(self.0.path()).args(words)).unwrap()
    }
}

#[test]
fn the_package_installs_runs_and_goes_without_a_trace() {
    let Some(nvmm) = nvmm() else { return };
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: dpkg installs as root alone");
    }
    if let Err(error) = Command::new("dpkg-deb").arg("--version").output() {
        return println!("skipped: dpkg-deb: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let day = changelog::day().unwrap();
    let files = files(&nvmm, day).unwrap();
    let package = build(&files, repository(), day, folder.path(), Packing::Quick).unwrap();
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the package, and nothing that it was made of"
    );

    let root = Root::new();
    let before = root.files();
    root.dpkg(&["--install", package.to_str().unwrap()]);
    let installed = root.files();
    for (path, mode) in [
        ("usr/bin/nvmm", 0o755),
        ("usr/share/man/man1/nvmm.1.gz", 0o644),
        ("usr/share/man/man1/nvmm-nest.1.gz", 0o644),
        ("usr/share/bash-completion/completions/nvmm", 0o644),
        ("usr/share/zsh/vendor-completions/_nvmm", 0o644),
        ("usr/share/fish/vendor_completions.d/nvmm.fish", 0o644),
        ("usr/lib/systemd/system/nvmm@.service", 0o644),
        ("usr/share/doc/nvmm/copyright", 0o644),
        ("usr/share/doc/nvmm/manual/options.md", 0o644),
        ("usr/share/nvmm/lab/start", 0o755),
        ("etc/nvmm", 0o755),
    ] {
        assert!(installed.contains(&(path.into(), mode)), "{path}: {installed:?}");
    }
    assert_eq!(root.run(&["/usr/bin/nvmm", "--version"]), concat!("nvmm ", env!("CARGO_PKG_VERSION"), "\n"));
    // dpkg knows each file's sum.
    assert_eq!(root.dpkg(&["--verify", "nvmm"]), "");

    root.dpkg(&["--purge", "nvmm"]);
    assert_eq!(root.files(), before);
    assert_eq!(root.dpkg(&["--get-selections"]), "");
}

#[test]
fn the_control_file_has_what_dpkg_needs() {
    let control = control("0.2.0-1", 12_345);
    assert!(
        control.contains("\nVersion: 0.2.0-1\n") && control.contains("\nInstalled-Size: 12345\n"),
        "{control}"
    );
    // Nothing is missing without the packages that it recommends.
    assert!(!control.contains("\nDepends:"), "{control}");
    assert!(control.ends_with('\n') && !control.contains("\n\n"), "{control}");
    assert!(control.lines().all(|line| line.len() <= 80), "{control}");
}

#[test]
fn the_copyright_file_has_both_licences() {
    let copyright = copyright(&fs::read_to_string(repository().join("LICENSE-BSD-3-Clause")).unwrap());
    assert!(copyright.contains("\nLicense: Apache-2.0 or BSD-3-Clause\n"), "{copyright}");
    assert!(
        copyright.contains("\nLicense: BSD-3-Clause\n Copyright (c) 2026 The nvmm authors.\n .\n"),
        "{copyright}"
    );
    assert!(copyright.contains("/usr/share/common-licenses/Apache-2.0"), "{copyright}");
}
