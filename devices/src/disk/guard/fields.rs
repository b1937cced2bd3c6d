//! The header's fields, as they are in the file.

use zerocopy::{
    FromBytes, Immutable, KnownLayout,
    big_endian::{U32, U64},
};

/// Lengths of the header's parts: version 2 ends after the first.
pub(super) const V2_LEN: usize = size_of::<Fields>();
pub(super) const V3_LEN: usize = V2_LEN + size_of::<MoreFields>();

/// The part of the header that version 2 has.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Fields {
    pub(super) magic: [u8; 4],
    pub(super) version: U32,
    pub(super) backing_file_offset: U64,
    pub(super) backing_file_size: U32,
    pub(super) cluster_bits: U32,
    pub(super) size: U64,
    pub(super) crypt_method: U32,
    pub(super) l1_size: U32,
    pub(super) l1_table_offset: U64,
    pub(super) refcount_table_offset: U64,
    pub(super) refcount_table_clusters: U32,
    pub(super) nb_snapshots: U32,
    pub(super) snapshots_offset: U64,
}

/// The fields that version 3 adds.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct MoreFields {
    pub(super) incompatible_features: U64,
    pub(super) compatible_features: U64,
    pub(super) autoclear_features: U64,
    pub(super) refcount_order: U32,
    pub(super) header_length: U32,
}
