//! Facts about a vmdk.

use std::path::PathBuf;

use crate::printable::Untrusted;

/// The descriptor and the extents of a vmdk, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmdkFacts {
    /// `createType`, which VMware and QEMU also call the subformat.
    pub create_type: Option<String>,
    /// `CID`.
    pub cid: Option<u32>,
    /// `parentCID`, of a child.
    pub parent_cid: Option<u32>,
    /// `parentFileNameHint`, of a child.
    pub parent_file: Option<Untrusted>,
    /// The extents.
    pub extents: Vec<VmdkExtent>,
}

/// An extent of a vmdk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmdkExtent {
    /// `flat`, `sparse` or `zero`.
    pub kind: &'static str,
    /// The extent's file, if it has one.
    pub path: Option<PathBuf>,
    /// The size in bytes.
    pub size: u64,
    /// Bytes of a grain, if it has grains.
    pub grain_size: Option<u64>,
    /// The grains are compressed.
    pub compressed: bool,
}
