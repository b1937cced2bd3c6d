//! The header of a qcow2 image, read before anything else acts on it.
//!
//! imago trusts what a header says: it reads an encrypted image as if it were plain, and allocates memory for tables of any length. So a
//! header is checked here first, and what can't be read correctly is refused by name. QEMU's `docs/interop/qcow2.txt` is the specification;
//! the limits on lengths are those of its `block/qcow2.h`.

mod error;
mod extensions;
pub(super) mod facts;
mod fields;
mod view;

pub(super) use error::Flaw;
pub use error::HeaderError;

use std::{fs::File, io, mem::offset_of, os::unix::fs::FileExt};

use zerocopy::FromBytes;

pub(super) use self::view::View;
use self::{
    error::field,
    extensions::Extensions,
    fields::{Fields, MoreFields, V2_LEN, V3_LEN},
};
use super::SECTOR_SIZE;
use crate::printable::Untrusted;

/// The first bytes of an image in any version of the format.
pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";

const MIN_CLUSTER_BITS: u32 = 9;
const MAX_CLUSTER_BITS: u32 = 21;
const MAX_REFCOUNT_ORDER: u32 = 6;
const V2_REFCOUNT_ORDER: u32 = 4;
const MAX_L1_ENTRIES: u64 = 4 << 20;
const MAX_REFCOUNT_TABLE: u64 = 8 << 20;
const MAX_NAME: u64 = 1023;

/// Incompatible features: the image was not closed after it was written to; it contradicts itself; its clusters are in another file.
const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;

/// The fields of a header that matter for opening the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The disk's size in bytes.
    pub(super) size: u64,
    /// The backing file.
    pub(super) backing: Option<Backing>,
    /// The name of the file with the disk's clusters, if it is another one.
    pub(super) data_file: Option<Untrusted>,
    /// The version has clusters of zeros that take no space.
    pub(super) can_zero: bool,
    /// The positions of its tables.
    pub(super) layout: Layout,
    /// The image has dirty bitmaps, which nvmm does not update.
    pub(super) has_bitmaps: bool,
    /// The faults that do not prevent reading.
    pub(super) flaws: Vec<Flaw>,
    /// The header as imago has to see it.
    pub(super) view: View,
}

/// The positions of an image's tables, and the units in which it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Two to this power is the size of a cluster in bytes.
    pub(super) cluster_bits: u32,
    /// Two to this power is the number of bits of a refcount.
    pub(super) refcount_order: u32,
    /// The offset in the file of the L1 table.
    pub(super) l1_offset: u64,
    /// The number of L2 tables that the L1 table can refer to.
    pub(super) l1_entries: u32,
    /// The offset in the file of the refcount table.
    pub(super) refcount_table_offset: u64,
    /// The number of clusters of the refcount table.
    pub(super) refcount_table_clusters: u32,
}

impl Layout {
    /// The layout after the header's beginning has changed to `bytes`. An image's units never change.
    pub(super) fn updated(self, bytes: &[u8]) -> Self {
        match Fields::read_from_prefix(bytes) {
            Ok((fields, _)) => Self {
                cluster_bits: self.cluster_bits,
                refcount_order: self.refcount_order,
                ..Self::of(&fields, None)
            },
            Err(_) => self,
        }
    }

    fn of(fields: &Fields, more: Option<&MoreFields>) -> Self {
        Self {
            cluster_bits: fields.cluster_bits.get(),
            refcount_order: more.map_or(V2_REFCOUNT_ORDER, |more| more.refcount_order.get()),
            l1_offset: fields.l1_table_offset.get(),
            l1_entries: fields.l1_size.get(),
            refcount_table_offset: fields.refcount_table_offset.get(),
            refcount_table_clusters: fields.refcount_table_clusters.get(),
        }
    }

    /// The size of a cluster in bytes.
    pub(super) fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The bytes of the disk that an L2 table covers: it is a cluster of entries of eight bytes.
    pub(super) fn l2_covers(&self) -> u64 {
        self.cluster_size() * (self.cluster_size() / 8)
    }
}

/// A backing file, as named in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backing {
    pub(super) name: Untrusted,
    pub(super) format: Option<Untrusted>,
}

impl Header {
    /// Reads and checks the header of the image in `file`, which has `len` bytes, for use with or without `writing`.
    ///
    /// # Errors
    ///
    /// The file can't be read; or, as the inner error, the image can't be used.
    pub(super) fn read(file: &File, len: u64, writing: bool) -> io::Result<Result<Self, HeaderError>> {
        // The header lies in the first cluster, and this is the size of the largest.
        let most = len.min(1 << MAX_CLUSTER_BITS);
        let mut start = vec![0; usize::try_from(most.min(V3_LEN as u64)).map_err(io::Error::other)?];
        file.read_exact_at(&mut start, 0)?;
        let cluster = match Fields::read_from_prefix(&start) {
            Ok((fields, _)) if fields.magic == MAGIC => 1 << fields.cluster_bits.get().min(MAX_CLUSTER_BITS),
            _ => 0,
        };
        let mut bytes =
            vec![0; usize::try_from(most.min(cluster)).map_err(io::Error::other)?.max(start.len())];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Self::parse(&bytes, len, writing))
    }

    /// Checks a header. `bytes` is the image's first cluster, or the whole file; `len` is the file's length.
    pub(super) fn parse(bytes: &[u8], len: u64, writing: bool) -> Result<Self, HeaderError> {
        let truncated = || HeaderError::Truncated(len);
        if !bytes.starts_with(&MAGIC) {
            return Err(HeaderError::Magic);
        }
        let (fields, rest) = Fields::read_from_prefix(bytes).map_err(|_| truncated())?;
        let more = match fields.version.get() {
            2 => None,
            3 => Some(MoreFields::read_from_prefix(rest).map_err(|_| truncated())?.0),
            version => return Err(HeaderError::Version(version)),
        };
        // The version and the incompatible features come first: they may change the meaning of everything else.
        match fields.crypt_method.get() {
            0 => {}
            1 => return Err(HeaderError::Encrypted("AES")),
            2 => return Err(HeaderError::Encrypted("LUKS")),
            _ => return Err(HeaderError::Encrypted("in an unknown way")),
        }
        let mut view = View::default();
        let mut flaws = Vec::new();
        if let Some(more) = &more {
            flaws = check_features(more, bytes, writing)?;
            if !flaws.is_empty() {
                view.incompatible_features(more.incompatible_features.get() & !(DIRTY | CORRUPT));
            }
        }
        let cluster_size = check_clusters(&fields, more.as_ref())?;
        let size = check_size(&fields, cluster_size, writing)?;
        if size != fields.size.get() {
            flaws.push(Flaw::Size(fields.size.get()));
            view.size(size);
        }
        check_tables(&fields, cluster_size, len)?;

        let name = backing_name(&fields, bytes, cluster_size)?;
        let header_len = more.map_or(V2_LEN, |more| more.header_length.get() as usize);
        // In version 2 the extensions may end where a name begins; in version 3 an extension ends them.
        let end = usize::try_from(fields.backing_file_offset.get()).ok();
        let end = end.filter(|&offset| offset > 0 && more.is_none());
        let extensions = Extensions::parse(bytes, header_len, end)?;
        let clean = more.is_some_and(|more| more.autoclear_features.get() & 1 != 0);
        let has_bitmaps = extensions.bitmaps && clean;
        if has_bitmaps && writing {
            return Err(HeaderError::Bitmaps);
        }
        if let Some(name) = &name {
            view.name(fields.backing_file_offset.get(), name);
        }
        if let Some(name) = &extensions.data_file {
            view.name(extensions.data_file_at as u64, name);
        }
        // imago would write the whole header.
        if writing && !view.is_plain() && more.is_some_and(|more| more.autoclear_features.get() != 0) {
            return Err(HeaderError::Name);
        }
        let backing = name.map(|name| Backing { name, format: extensions.backing_format });
        let has_data_file = more.is_some_and(|more| more.incompatible_features.get() & DATA_FILE != 0);
        let data_file = extensions.data_file.filter(|_| has_data_file);
        if has_data_file && data_file.is_none() {
            return Err(HeaderError::DataFile);
        }
        Ok(Self {
            size,
            backing,
            data_file,
            can_zero: more.is_some(),
            layout: Layout::of(&fields, more.as_ref()),
            has_bitmaps,
            flaws,
            view,
        })
    }
}

/// The offset of the backing file's name in an image that was just made.
pub(super) fn backing_name_at(file: &File) -> io::Result<u64> {
    let mut start = [0; V2_LEN];
    file.read_exact_at(&mut start, 0)?;
    Fields::read_from_bytes(&start)
        .map(|fields| fields.backing_file_offset.get())
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Returns whether the headers `old` and `new`, each a whole cluster, differ only in fields that change when an image grows: the size, and
/// the positions of its tables.
pub(super) fn is_same_image(old: &[u8], new: &[u8]) -> bool {
    let mut restored = new.to_vec();
    for changing in [
        offset_of!(Fields, size)..offset_of!(Fields, crypt_method),
        offset_of!(Fields, l1_size)..offset_of!(Fields, nb_snapshots),
    ] {
        if let (Some(restored), Some(old)) = (restored.get_mut(changing.clone()), old.get(changing)) {
            restored.copy_from_slice(old);
        }
    }
    restored == old
        && Fields::read_from_prefix(new).is_ok_and(|(fields, _)| {
            let refcount_table = u64::from(fields.refcount_table_clusters.get()) * old.len() as u64;
            u64::from(fields.l1_size.get()) <= MAX_L1_ENTRIES && refcount_table <= MAX_REFCOUNT_TABLE
        })
}

/// Refuses unknown features. A dirty or corrupt image is only refused for writing.
fn check_features(more: &MoreFields, bytes: &[u8], writing: bool) -> Result<Vec<Flaw>, HeaderError> {
    let all = more.incompatible_features.get();
    let harmless = if writing { DATA_FILE } else { DATA_FILE | DIRTY | CORRUPT };
    let features = all & !harmless;
    let compression = bytes.get(V3_LEN).filter(|_| more.header_length.get() as usize > V3_LEN).copied();
    if features != 0 {
        return Err(match features.trailing_zeros() {
            0 => HeaderError::Broken("dirty"),
            1 => HeaderError::Broken("corrupt"),
            3 if compression == Some(1) => HeaderError::Compression("zstd"),
            3 => HeaderError::Compression("something unknown"),
            4 => HeaderError::ExtendedL2,
            unknown => HeaderError::Feature(unknown),
        });
    }
    match compression {
        None | Some(0) => {
            let flaws = [(DIRTY, Flaw::Dirty), (CORRUPT, Flaw::Corrupt)].into_iter();
            Ok(flaws.filter_map(|(bit, flaw)| (all & bit != 0).then_some(flaw)).collect())
        }
        Some(value) => Err(field("compression_type", value, "feature bit 3 is missing")),
    }
}

/// Checks the units of lengths, and returns the size of a cluster.
fn check_clusters(fields: &Fields, more: Option<&MoreFields>) -> Result<u64, HeaderError> {
    let bits = fields.cluster_bits.get();
    if !(MIN_CLUSTER_BITS..=MAX_CLUSTER_BITS).contains(&bits) {
        return Err(field("cluster_bits", bits, "it must be 9 to 21"));
    }
    let cluster_size = 1_u64 << bits;
    if let Some(more) = more {
        let (order, len) = (more.refcount_order.get(), more.header_length.get());
        if order > MAX_REFCOUNT_ORDER {
            return Err(field("refcount_order", order, "it must be at most 6"));
        }
        if (len as usize) < V3_LEN || !len.is_multiple_of(8) || u64::from(len) > cluster_size {
            return Err(field(
                "header_length",
                len,
                "it must be at least 104, a multiple of 8, and within a cluster",
            ));
        }
    }
    Ok(cluster_size)
}

/// Returns the size of the disk. If it is only read, a part of a sector at its end is left out, as QEMU does.
fn check_size(fields: &Fields, cluster_size: u64, writing: bool) -> Result<u64, HeaderError> {
    let (mut size, entries) = (fields.size.get(), u64::from(fields.l1_size.get()));
    if !writing {
        size -= size % SECTOR_SIZE;
    }
    if size == 0 {
        return Err(field("size", size, "there is no disk in it; give it a size with qemu-img resize"));
    }
    if !size.is_multiple_of(SECTOR_SIZE) {
        return Err(field("size", size, "it must be whole sectors of 512 bytes to be written to"));
    }
    if entries > MAX_L1_ENTRIES {
        return Err(field("l1_size", entries, "it must be at most 4194304"));
    }
    // An L2 table is a cluster with an eight-byte entry for each cluster.
    let covered = cluster_size * (cluster_size / 8);
    if size.div_ceil(covered) > entries {
        return Err(field("l1_size", entries, "it is too small for the size"));
    }
    Ok(size)
}

/// Checks that the tables lie in the file, after the header.
fn check_tables(fields: &Fields, cluster_size: u64, len: u64) -> Result<(), HeaderError> {
    let check = |name, offset: u64, bytes: u64| {
        if offset == 0 || !offset.is_multiple_of(cluster_size) {
            return Err(field(name, offset, "it must be a multiple of the cluster size"));
        }
        match offset.checked_add(bytes) {
            Some(end) if end <= len => Ok(()),
            _ => Err(field(name, offset, "the table ends past the end of the file")),
        }
    };
    check("l1_table_offset", fields.l1_table_offset.get(), u64::from(fields.l1_size.get()) * 8)?;
    let clusters = fields.refcount_table_clusters.get();
    let table = u64::from(clusters) * cluster_size;
    if clusters == 0 || table > MAX_REFCOUNT_TABLE {
        return Err(field("refcount_table_clusters", clusters, "it must be 1 to 8 MiB"));
    }
    check("refcount_table_offset", fields.refcount_table_offset.get(), table)
}

fn backing_name(fields: &Fields, bytes: &[u8], cluster_size: u64) -> Result<Option<Untrusted>, HeaderError> {
    let (offset, len) = (fields.backing_file_offset.get(), u64::from(fields.backing_file_size.get()));
    if offset == 0 || len == 0 {
        return Ok(None);
    }
    if len > MAX_NAME {
        return Err(field("backing_file_size", len, "it must be at most 1023"));
    }
    let end = offset.checked_add(len).filter(|&end| end <= cluster_size);
    let name = end.and_then(|end| bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?));
    let Some(name) = name.filter(|_| offset >= V2_LEN as u64) else {
        return Err(field(
            "backing_file_offset",
            offset,
            "the name must lie in the first cluster, behind the header",
        ));
    };
    Ok(Some(name.into()))
}

#[cfg(test)]
#[path = "guard_test.rs"]
mod tests;
