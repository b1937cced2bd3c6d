//! The disks of a snapshot. They are not stored in it: only their sizes and the times of their files, to detect changes.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use devices::{
    disk::{format::Format, image::OpenOptions, info, qcow2::Overlay},
    printable::ToPrintable,
};

use super::manifest::{DiskRecord, ImageRecord};
use crate::{
    board::OpenDevice,
    config::{DiskConfig, VmConfig},
};

/// Flushes the guest's writes to its disks, and then records them.
///
/// # Errors
///
/// Data that the guest wrote would be lost with nvmm's end, or can't be written.
pub(super) fn record(config: &VmConfig, devices: &[Box<dyn OpenDevice>]) -> Result<Vec<DiskRecord>> {
    if let Some(why) = config.unsavable() {
        bail!(why);
    }
    for disk in devices.iter().filter_map(|device| device.image()).filter(|disk| !disk.is_read_only()) {
        disk.flush().with_context(|| format!("disk {}: it can't be flushed", disk.name()))?;
    }
    let records = look(config, devices);
    // Images of other devices may have no file, but be in memory.
    let unseen = records.iter().filter(|disk| disk.name.starts_with("disk ") && disk.files.is_empty());
    for DiskRecord { name, .. } in unseen {
        log::warn!(
            "{name}: its files can't be seen any more, so that the snapshot won't know if they change"
        );
    }
    Ok(records)
}

/// Records the disks of a machine.
fn look(config: &VmConfig, devices: &[Box<dyn OpenDevice>]) -> Vec<DiskRecord> {
    let facts = devices.iter().filter_map(|device| device.host_side()?.block());
    let records = facts.map(|facts| {
        let disk = config.disks().find(|disk| disk.name() == facts.name);
        let medium = facts.inserted.as_ref().map(|image| image.path.clone());
        let files = match disk {
            Some(disk) => files_of(disk),
            None => medium.iter().filter_map(|path| image(path)).collect(),
        };
        let name = if disk.is_some() { format!("disk {}", facts.name) } else { facts.name };
        DiskRecord { name, size: facts.inserted.map(|image| image.size), files }
    });
    records.collect()
}

/// Checks that the disks of a machine to be restored are unchanged. For a disk that the user has moved to another path, only the size is
/// checked.
///
/// # Errors
///
/// Some disks differ; the error names all of them.
pub(super) fn check(saved: &[DiskRecord], config: &VmConfig, devices: &[Box<dyn OpenDevice>]) -> Result<()> {
    let now = look(config, devices);
    let mut wrong = Vec::new();
    if saved.len() != now.len() {
        wrong.push(format!("there were {} disks and drives, and there are {}", saved.len(), now.len()));
    }
    for (saved, now) in saved.iter().zip(&now) {
        if saved.size != now.size {
            let size =
                |size: Option<u64>| size.map_or("no medium".to_owned(), |size| format!("{size} bytes"));
            wrong.push(format!("{}: it had {}, and has {}", now.name, size(saved.size), size(now.size)));
            continue;
        }
        for file in &saved.files {
            let Some(found) = now.files.iter().find(|found| is_same(&found.path, &file.path)) else {
                continue;
            };
            if (file.len, file.modified) != (found.len, found.modified) {
                let shown = file.path.printable();
                wrong.push(format!("{}: {shown} has changed since the machine was saved", now.name));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{}; a guest that goes on with another disk destroys what is on it: put back the disk as it was, or name a copy of it, with --disk id=...,path=...",
        wrong.join("; ")
    )
}

/// Returns whether two paths lead to the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    one == other || identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// The files of a disk: the image and the overlay, and the files that these refer to.
fn files_of(disk: &DiskConfig) -> Vec<ImageRecord> {
    let overlay = match &disk.image.overlay {
        Some(Overlay::File(path)) => Some((path, Some(Format::Qcow2))),
        _ => None,
    };
    let images = [Some((&disk.path, disk.image.format)), overlay].into_iter().flatten();
    let paths = images.flat_map(|(path, format)| {
        let options = OpenOptions { format, ..disk.image.clone() };
        let links = info::follow(path, &options).map(|info| info.links).unwrap_or_default();
        let linked: Vec<PathBuf> = links.into_iter().map(|link| link.path).collect();
        if linked.is_empty() { vec![path.clone()] } else { linked }
    });
    let mut files: Vec<ImageRecord> = Vec::new();
    for path in paths {
        if files.iter().all(|file| file.path != path) {
            files.extend(image(&path));
        }
    }
    files
}

/// Records a file. In a jail it may be missing.
fn image(path: &Path) -> Option<ImageRecord> {
    let found = fs::metadata(path).ok()?;
    let is_file = found.is_file();
    let modified = found.mtime().checked_mul(1_000_000_000)?.checked_add(found.mtime_nsec())?;
    Some(ImageRecord {
        path: path.to_owned(),
        len: is_file.then_some(found.len()),
        modified: u64::try_from(modified).ok().filter(|_| is_file),
    })
}
