//! The files that an installed nvmm has, as a list: a package and an archive are made of it.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::{completions::Completions, man::Page};

/// A file.
#[derive(Debug)]
pub(crate) struct Installed {
    /// The path below `/usr` or `/usr/local`; in a package, from the root on.
    pub(crate) path: String,
    /// The permissions.
    pub(crate) mode: u32,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// The permissions of programs, scripts and folders.
const PROGRAM: u32 = 0o755;
/// The permissions of all else.
const DATA: u32 = 0o644;

/// The place of documents.
pub(crate) const DOC: &str = "share/doc/nvmm";

/// Files and folders of the repository, and their places.
const FROM_REPOSITORY: [(&str, &str); 9] = [
    ("README.md", "share/doc/nvmm/README.md"),
    ("SECURITY.md", "share/doc/nvmm/SECURITY.md"),
    ("CONTRIBUTING.md", "share/doc/nvmm/CONTRIBUTING.md"),
    ("resources/manual", "share/doc/nvmm/manual"),
    ("resources/ci", "share/doc/nvmm/ci"),
    ("resources/pictures", "share/doc/nvmm/pictures"),
    ("resources/lab", "share/nvmm/lab"),
    ("resources/systemd/nvmm@.service", "lib/systemd/system/nvmm@.service"),
    // AppArmor does not load it from there: who wants it copies it to /etc/apparmor.d. It keeps nvmm out of its users' folders.
    ("resources/apparmor/usr.bin.nvmm", "share/apparmor/extra-profiles/usr.bin.nvmm"),
];

impl Installed {
    /// A file that is no program.
    pub(crate) fn data(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: DATA, bytes: bytes.into() }
    }

    /// The same, compressed, with `.gz` after its name.
    ///
    /// # Errors
    ///
    /// There are none: it is written to memory.
    pub(crate) fn compressed(path: &str, bytes: &[u8]) -> Result<Self> {
        // Without the time, so that the same text gives the same file.
        let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        encoder.write_all(bytes)?;
        Ok(Self::data(format!("{path}.gz"), encoder.finish()?))
    }
}

/// The parts of a release that are made anew for it.
#[derive(Debug)]
pub(crate) struct Made {
    /// The program's bytes.
    pub(crate) nvmm: Vec<u8>,
    /// The man pages.
    pub(crate) pages: Vec<Page>,
    /// The completions.
    pub(crate) completions: Vec<Completions>,
    /// The licences of other people's crates that are in it.
    pub(crate) licences: String,
}

/// The files that every installation has, in order of their paths.
///
/// # Errors
///
/// One of the `repository` can't be read.
pub(crate) fn files(repository: &Path, made: Made) -> Result<Vec<Installed>> {
    let mut files = vec![Installed { path: "bin/nvmm".to_owned(), mode: PROGRAM, bytes: made.nvmm }];
    for page in &made.pages {
        files.push(Installed::compressed(&format!("share/man/man1/{}.1", page.name), page.text.as_bytes())?);
    }
    for Completions { folder, file, text, .. } in made.completions {
        files.push(Installed::data(format!("{folder}/{file}"), text));
    }
    files.push(Installed::compressed(&format!("{DOC}/THIRD-PARTY"), made.licences.as_bytes())?);
    for (from, to) in FROM_REPOSITORY {
        add(&repository.join(from), to, &mut files)?;
    }
    for file in files.iter_mut().filter(|file| file.path.ends_with(".md")) {
        file.bytes = with_links_here(&file.bytes)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Adds a file, or all files of a folder.
fn add(from: &Path, to: &str, files: &mut Vec<Installed>) -> Result<()> {
    let reading = || format!("reading {}", from.display());
    let metadata = fs::metadata(from).with_context(reading)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(from).with_context(reading)? {
            let path = entry.with_context(reading)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            add(&path, &format!("{to}/{name}"), files)?;
        }
        return Ok(());
    }
    let is_program = metadata.permissions().mode() & 0o100 != 0;
    let mode = if is_program { PROGRAM } else { DATA };
    files.push(Installed { path: to.to_owned(), mode, bytes: fs::read(from).with_context(reading)? });
    Ok(())
}

/// A document whose links lead to the places that files of the repository have here.
fn with_links_here(text: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(text)?;
    Ok(text.replace("](resources/", "](").replace("](../../", "](../").into_bytes())
}

/// Writes the files below `root`.
///
/// # Errors
///
/// One of them can't be written.
pub(crate) fn write(files: &[Installed], root: &Path) -> Result<()> {
    for file in files {
        let path = root.join(&file.path);
        let writing = || format!("writing {}", path.display());
        folder(path.parent().unwrap_or(root)).with_context(writing)?;
        fs::write(&path, &file.bytes).with_context(writing)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).with_context(writing)?;
    }
    Ok(())
}

/// Makes a folder and those above it, which everybody may read.
pub(crate) fn folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), folder)?;
    fs::DirBuilder::new().mode(PROGRAM).create(path)?;
    // Whatever the umask is.
    fs::set_permissions(path, fs::Permissions::from_mode(PROGRAM))
}

#[cfg(test)]
#[path = "installed_test.rs"]
mod tests;
