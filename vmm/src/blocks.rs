//! The disks of a machine that is there, as QMP tells of them.

use std::path::PathBuf;

use devices::{
    block::{CacheMode, Totals},
    disk::format::Format,
};
use serde_json::{Value, json};

use crate::lossy::Name;

/// A disk, as it is now.
#[derive(Clone, Debug)]
pub struct BlockFacts {
    /// The name that messages have for it.
    pub(crate) name: String,
    /// Its image or block device. With an overlay, what the guest writes goes there.
    pub(crate) path: PathBuf,
    /// The overlay; one that is gone at the end has no path.
    pub(crate) overlay: Option<Option<PathBuf>>,
    /// The format of what the guest writes to.
    pub(crate) format: Format,
    /// Its size in bytes.
    pub(crate) size: u64,
    pub(crate) is_read_only: bool,
    pub(crate) cache: CacheMode,
    /// It bypasses the host's page cache.
    pub(crate) is_direct: bool,
    /// Requests a second, and bytes a second, at most.
    pub(crate) limits: [Option<u64>; 2],
    /// The work that it has done.
    pub(crate) totals: Totals,
}

/// QMP's `BlockInfo`, for `query-block`.
pub(crate) fn info(disk: &BlockFacts) -> Value {
    let BlockFacts { name, path, overlay, format, size, is_read_only, cache, is_direct, .. } = disk;
    let path = path.to_unicode();
    let (file, below) = match overlay {
        None => (path, None),
        Some(overlay) => (overlay.as_ref().map(Name::to_unicode).unwrap_or_default(), Some(path)),
    };
    let [iops, bps] = disk.limits.map(Option::unwrap_or_default);
    let mut info = json!({
        "device": name,
        "type": "unknown",
        "removable": false,
        "locked": false,
        "inserted": {
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
        },
    });
    if let Some(below) = below {
        info["inserted"]["backing_file"] = json!(below);
    }
    info
}

/// QMP's `BlockStats`, for `query-blockstats`, with what nvmm counts. Failed requests are of any kind.
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
