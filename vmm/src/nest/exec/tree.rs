//! The tree of the user's files for the last level.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use devices::printable::ToPrintable;

use crate::nest::cpio;
use crate::nest::image::{DIRECTORY, INIT};

/// The folders on which the kernel's file systems are mounted, so that files of the image there would be hidden.
const MOUNTED: [&str; 3] = ["dev", "proc", "sys"];
/// The most symbolic links that Linux follows in one path.
const LINKS: u32 = 40;
/// The longest name of a file, and the longest path with its slash at the start, in bytes. Linux, "include/uapi/linux/limits.h".
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4095;
/// The size of a page of memory, which is never shared by two files.
const PAGE: u64 = 4 << 10;
/// The permissions of directories that are made implicitly.
const MADE: u32 = 0o755;

/// A file for the last level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Directory {
        permissions: u32,
    },
    File {
        from: PathBuf,
        permissions: u32,
        len: u64,
    },
    Link {
        target: PathBuf,
    },
    /// A device, a FIFO or a socket.
    Special {
        mode: u32,
        device: u64,
    },
}

/// Files by path, without a slash at the start. A directory comes before its contents.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Tree {
    /// Adds the host's file or folder as `guest`; a folder with all of its contents. If it is a link, that is followed; links in a folder
    /// are kept. An earlier file is replaced.
    pub(super) fn add(&mut self, host: &Path, guest: &Path) -> anyhow::Result<()> {
        let metadata = fs::metadata(host)?;
        if !metadata.is_dir() {
            return self.insert(guest, entry(host, &metadata)?);
        }
        self.insert(guest, entry(host, &metadata)?)?;
        let mut folders = vec![(host.to_owned(), guest.to_owned())];
        while let Some((host, guest)) = folders.pop() {
            let read = || fs::read_dir(&host)?.collect::<io::Result<Vec<_>>>();
            for child in read().with_context(|| format!("reading {}", host.printable()))? {
                let (host, guest) = (child.path(), guest.join(child.file_name()));
                let metadata = child.metadata().with_context(|| format!("reading {}", host.printable()))?;
                if is_mounted_over(&relative(&guest)) {
                    continue;
                }
                self.insert(&guest, entry(&host, &metadata)?)?;
                if metadata.is_dir() {
                    folders.push((host, guest));
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, guest: &Path, entry: Entry) -> anyhow::Result<()> {
        let loops = || format!("{}: its symbolic links go in circles", guest.printable());
        let path = self.resolve(guest, matches!(entry, Entry::Directory { .. })).with_context(loops)?;
        if path == Path::new(INIT) || path.starts_with(DIRECTORY) {
            bail!("/{} is nvmm's own; give it another place", path.printable());
        }
        if let Some(len) = path.iter().map(OsStr::len).find(|len| *len > LONGEST_NAME) {
            bail!(
                "a name in {} has {len} bytes, and can have {LONGEST_NAME}; give a shorter GUEST",
                guest.printable()
            );
        }
        let len = path.as_os_str().len() + 1;
        if len > LONGEST_PATH {
            bail!(
                "{} has {len} bytes, and a path can have {LONGEST_PATH}; give a shorter GUEST",
                guest.printable()
            );
        }
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            match self.entries.entry(above.to_owned()).or_insert(Entry::Directory { permissions: MADE }) {
                Entry::Directory { .. } => {}
                _ => bail!("/{} is no directory, and can't hold {}", above.printable(), guest.printable()),
            }
        }
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let is_directory = |entry: &Entry| matches!(entry, Entry::Directory { .. });
        match self.entries.get(&path) {
            Some(old) if is_directory(old) && !is_directory(&entry) => {
                bail!("{} is a directory already", guest.printable())
            }
            Some(old) if !is_directory(old) && is_directory(&entry) => {
                bail!("{} is a file already", guest.printable())
            }
            _ => self.entries.insert(path, entry),
        };
        Ok(())
    }

    /// The file at `guest`, following links.
    pub(super) fn get(&self, guest: &Path) -> Option<&Entry> {
        self.entries.get(&self.resolve(guest, true)?)
    }

    /// Returns whether any file has this name.
    pub(super) fn has_name(&self, name: &OsStr) -> bool {
        self.entries.keys().any(|path| path.file_name() == Some(name))
    }

    /// Resolves all links on a path; none if they form a loop.
    fn resolve(&self, guest: &Path, last_too: bool) -> Option<PathBuf> {
        let mut rest: VecDeque<OsString> = names(guest).collect();
        let mut path = PathBuf::new();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                path.pop();
                continue;
            }
            path.push(name);
            if (last_too || !rest.is_empty())
                && let Some(Entry::Link { target }) = self.entries.get(&path)
            {
                links += 1;
                if links > LINKS {
                    return None;
                }
                path.pop();
                if target.is_absolute() {
                    path.clear();
                }
                names(target).rev().for_each(|name| rest.push_front(name));
            }
        }
        Some(path)
    }

    /// The size of all files in memory, in bytes: each takes whole pages.
    pub(super) fn len(&self) -> u64 {
        let len = |entry: &Entry| match entry {
            Entry::File { len, .. } => len.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX),
            _ => 0,
        };
        self.entries.values().map(len).fold(0, u64::saturating_add)
    }

    /// Writes the tree as an archive.
    pub(super) fn write(&self, out: impl Write) -> anyhow::Result<()> {
        let mut archive = cpio::Writer::new(out);
        for (path, entry) in &self.entries {
            match entry {
                Entry::Directory { permissions } => archive.directory(path, *permissions),
                Entry::File { from, permissions, len } => {
                    let data = File::open(from).with_context(|| format!("reading {}", from.printable()))?;
                    archive.file_of(path, *permissions, *len, data)
                }
                Entry::Link { target } => archive.link(path, target),
                Entry::Special { mode, device } => archive.special(path, *mode, *device),
            }
            .with_context(|| format!("adding /{}", path.printable()))?;
        }
        archive.finish().and_then(|mut out| out.flush()).context("writing the archive")
    }
}

/// Returns whether one of the kernel's file systems hides this path.
pub(super) fn is_mounted_over(relative: &Path) -> bool {
    MOUNTED.iter().any(|mounted| relative.starts_with(mounted) && relative != Path::new(mounted))
}

/// Returns whether it is a folder on which one of the kernel's file systems is mounted.
pub(super) fn is_mounted(relative: &Path) -> bool {
    MOUNTED.iter().any(|mounted| relative == Path::new(mounted))
}

/// The path without its slash at the start.
pub(super) fn relative(guest: &Path) -> PathBuf {
    names(guest).collect()
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

fn entry(host: &Path, metadata: &Metadata) -> anyhow::Result<Entry> {
    let file_type = metadata.file_type();
    let permissions = metadata.mode() & 0o7777;
    Ok(if file_type.is_dir() {
        Entry::Directory { permissions }
    } else if file_type.is_file() {
        if u32::try_from(metadata.len()).is_err() {
            bail!(
                "{} has {} bytes, and an initramfs takes files of less than 4 GiB",
                host.printable(),
                metadata.len()
            );
        }
        Entry::File { from: host.to_owned(), permissions, len: metadata.len() }
    } else if file_type.is_symlink() {
        let target = fs::read_link(host).with_context(|| format!("reading {}", host.printable()))?;
        Entry::Link { target }
    } else {
        let device =
            if file_type.is_block_device() || file_type.is_char_device() { metadata.rdev() } else { 0 };
        Entry::Special { mode: metadata.mode(), device }
    })
}

#[cfg(test)]
#[path = "tree_test.rs"]
mod tests;
