//! The root directory. `--chroot` changes it while names of files are kept: those of sockets, links and pid files, which are removed at the
//! end, and that of UEFI variables, which are written.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The directory that will become, or has become, this process's root. It is global, since code that keeps names doesn't know when the root
/// changes.
static ROOT: OnceLock<PathBuf> = OnceLock::new();
static IS_CHANGED: AtomicBool = AtomicBool::new(false);

/// Announces that this directory, given by its canonical path, will become the root. It changes at most once.
pub fn will_be(folder: PathBuf) {
    let _first = ROOT.set(folder);
}

/// Announces that the root has changed.
pub fn is_changed() {
    IS_CHANGED.store(true, Ordering::Release);
}

/// Returns whether a file with this canonical path can still be found after the root changes. To be called before.
#[must_use]
pub fn stays(path: &Path) -> bool {
    ROOT.get().is_none_or(|root| path.starts_with(root))
}

/// Returns the current path of a file whose canonical path at the start was `path`; none if it is outside of the root.
#[must_use]
pub fn path_now(path: &Path) -> Option<Cow<'_, Path>> {
    match ROOT.get().filter(|_| IS_CHANGED.load(Ordering::Acquire)) {
        None => Some(Cow::Borrowed(path)),
        Some(root) => below(root, path).map(Cow::Owned),
    }
}

/// Returns the canonical path of a file. If the file is a link itself, that is not followed.
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
