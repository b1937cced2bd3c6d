//! The disks of a running machine, in QMP's form.

use std::path::PathBuf;

use devices::{
    block::{CacheMode, Totals},
    disk::format::Format,
};
use serde_json::{Value, json};

use crate::lossy::Name;

/// The current state of a disk.
#[derive(Clone, Debug)]
pub struct BlockFacts {
    /// The name in messages.
    pub(crate) name: String,
    /// The tray, if it has one.
    pub(crate) tray: Option<TrayFacts>,
    /// The medium in it. Without a tray, it never changes.
    pub(crate) inserted: Option<ImageFacts>,
    /// The work of the disk so far.
    pub(crate) totals: Totals,
}

/// The tray of a CD-ROM drive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrayFacts {
    pub(crate) is_open: bool,
    /// The guest has locked the tray.
    pub(crate) is_locked: bool,
}

/// An image, as it is currently used.
#[derive(Clone, Debug)]
pub(crate) struct ImageFacts {
    /// The image or block device. With an overlay, the guest's writes go there.
    pub(crate) path: PathBuf,
    /// The overlay; the path is none if it is deleted at the end.
    pub(crate) overlay: Option<Option<PathBuf>>,
    /// The format of the file that gets the guest's writes.
    pub(crate) format: Format,
    /// The size in bytes.
    pub(crate) size: u64,
    pub(crate) is_read_only: bool,
    pub(crate) cache: CacheMode,
    /// The disk bypasses the host's page cache.
    pub(crate) is_direct: bool,
    /// The most requests and the most bytes a second.
    pub(crate) limits: [Option<u64>; 2],
}

/// QMP's `BlockInfo`, for `query-block`.
pub(crate) fn info(BlockFacts { name, tray, inserted, .. }: &BlockFacts) -> Value {
    let mut info = json!({
        "device": name,
        "type": "unknown",
        "removable": tray.is_some(),
        "locked": tray.is_some_and(|tray| tray.is_locked),
    });
    if let Some(tray) = tray {
        info["tray_open"] = tray.is_open.into();
    }
    if let Some(image) = inserted {
        info["inserted"] = device_info(name, image);
    }
    info
}

/// QMP's `BlockDeviceInfo`.
fn device_info(name: &str, image: &ImageFacts) -> Value {
    let ImageFacts { path, overlay, format, size, is_read_only, cache, is_direct, limits } = image;
    let path = path.to_unicode();
    let (file, below) = match overlay {
        None => (path, None),
        Some(overlay) => (overlay.as_ref().map(Name::to_unicode).unwrap_or_default(), Some(path)),
    };
    let [iops, bps] = limits.map(Option::unwrap_or_default);
    let mut info = json!({
        "file": file,
        "node-name": name,
        "drv": format.name(),
        "ro": is_read_only,
        "cache": {
            "writeback": *cache != CacheMode::Writethrough,
            "direct": is_direct,
            "no-flush": *cache == CacheMode::Unsafe,
        },
        "iops": iops,
        "bps": bps,
        "image": { "filename": file, "format": format.name(), "virtual-size": size },
    });
    if let Some(below) = below {
        info["backing_file"] = json!(below);
    }
    info
}

/// QMP's `BlockStats`, for `query-blockstats`, from nvmm's counters. Failed requests of all kinds are counted together.
pub(crate) fn stats(disk: &BlockFacts) -> Value {
    let BlockFacts { name, totals: Totals { read, written, flushes, discarded, zeroed, errors }, .. } = disk;
    json!({
        "device": name,
        "node-name": name,
        "stats": {
            "rd_operations": read.requests,
            "rd_bytes": read.bytes,
            "wr_operations": written.requests,
            "wr_bytes": written.bytes,
            "flush_operations": flushes,
            "unmap_operations": discarded.requests,
            "unmap_bytes": discarded.bytes,
            "nvmm-zero-operations": zeroed.requests,
            "nvmm-zero-bytes": zeroed.bytes,
            "nvmm-failed-operations": errors,
        },
    })
}

#[cfg(test)]
#[path = "blocks_test.rs"]
mod tests;
