//! The root directory, which `--chroot` changes while names of files are kept: those of sockets, links and process numbers, which are
//! removed at the end, and that of UEFI variables, which are written.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The directory that this process's root will be, or is by now. A process has one, and those who keep names don't know who changes it.
static ROOT: OnceLock<PathBuf> = OnceLock::new();
static IS_CHANGED: AtomicBool = AtomicBool::new(false);

/// Says that this directory, by its canonical path, will be the root. It changes once at most.
pub fn will_be(folder: PathBuf) {
    let _first = ROOT.set(folder);
}

/// Says that it is the root from now on.
pub fn is_changed() {
    IS_CHANGED.store(true, Ordering::Release);
}

/// Returns whether a file will still be found that has this canonical path before the root changes.
#[must_use]
pub fn stays(path: &Path) -> bool {
    ROOT.get().is_none_or(|root| path.starts_with(root))
}

/// Returns the path by which a file is found now whose canonical path was this at the start; none if it is outside the root.
#[must_use]
pub fn path_now(path: &Path) -> Option<Cow<'_, Path>> {
    match ROOT.get().filter(|_| IS_CHANGED.load(Ordering::Acquire)) {
        None => Some(Cow::Borrowed(path)),
        Some(root) => below(root, path).map(Cow::Owned),
    }
}

/// Returns the canonical path of a file that may be a link itself, which is not followed.
#[must_use]
pub fn canonical(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn below(root: &Path, path: &Path) -> Option<PathBuf> {
    path.strip_prefix(root).ok().map(|rest| Path::new("/").join(rest))
}

#[cfg(test)]
#[path = "root_test.rs"]
mod tests;
