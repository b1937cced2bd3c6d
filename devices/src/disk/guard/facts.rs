//! The fields of a header, right or wrong: for people to read, not for use in code.

use std::{fs::File, io, os::unix::fs::FileExt};

use zerocopy::FromBytes;

use super::{
    Extensions, Fields, MAGIC, MAX_CLUSTER_BITS, MAX_REFCOUNT_ORDER, MIN_CLUSTER_BITS, MoreFields, V2_LEN,
    V3_LEN, backing_name,
};
use crate::printable::Untrusted;

/// The facts in the header of a qcow2 image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qcow2Facts {
    /// The version: 2 or 3. Other versions are unknown.
    pub version: u32,
    /// The disk's size in bytes.
    pub size: u64,
    /// Bytes of a cluster, if the value is possible.
    pub cluster_size: Option<u64>,
    /// The number of bits of a refcount.
    pub refcount_bits: Option<u32>,
    /// The method by which clusters may be compressed.
    pub compression: &'static str,
    /// The encryption, if it has one.
    pub encryption: Option<&'static str>,
    /// The number of snapshots inside.
    pub snapshots: u32,
    /// The other features, by their names in the specification.
    pub features: Vec<&'static str>,
    /// The backing file's name, as it is in the header.
    pub backing_file: Option<Untrusted>,
    /// The backing file's format, if it is recorded.
    pub backing_format: Option<Untrusted>,
}

impl Qcow2Facts {
    /// Reads the header of the image in `file`, which has `len` bytes; `None` if there is no header of a known version.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub(in super::super) fn read(file: &File, len: u64) -> io::Result<Option<Self>> {
        let most = len.min(1 << MAX_CLUSTER_BITS);
        let mut bytes = vec![0; usize::try_from(most).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Self::parse(&bytes))
    }

    /// Parses a header. `bytes` is at least the image's first cluster, or the whole file.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (fields, rest) = Fields::read_from_prefix(bytes).ok().filter(|(it, _)| it.magic == MAGIC)?;
        let version = fields.version.get();
        let more = match version {
            2 => None,
            3 => Some(MoreFields::read_from_prefix(rest).ok()?.0),
            _ => return Some(Self { version, ..Self::default() }),
        };
        let bits = fields.cluster_bits.get();
        let cluster_size = (MIN_CLUSTER_BITS..=MAX_CLUSTER_BITS).contains(&bits).then(|| 1_u64 << bits);
        let header_len = more.map_or(V2_LEN, |more| more.header_length.get() as usize);
        let compression = bytes.get(V3_LEN).filter(|_| header_len > V3_LEN);

        let first = usize::try_from(cluster_size.unwrap_or_default()).ok();
        let first = first.and_then(|len| bytes.get(..len)).unwrap_or(bytes);
        let end = usize::try_from(fields.backing_file_offset.get()).ok();
        let end = end.filter(|&offset| offset > 0 && more.is_none());
        let extensions = Extensions::parse(first, header_len, end).unwrap_or_default();
        Some(Self {
            version,
            size: fields.size.get(),
            cluster_size,
            refcount_bits: match more.map_or(4, |more| more.refcount_order.get()) {
                order @ 0..=MAX_REFCOUNT_ORDER => Some(1 << order),
                _ => None,
            },
            compression: match compression {
                None | Some(0) => "zlib",
                Some(1) => "zstd",
                Some(_) => "unknown",
            },
            encryption: match fields.crypt_method.get() {
                0 => None,
                1 => Some("AES"),
                2 => Some("LUKS"),
                _ => Some("unknown"),
            },
            snapshots: fields.nb_snapshots.get(),
            features: features(more.as_ref(), extensions.bitmaps),
            backing_file: backing_name(&fields, first, first.len() as u64).ok().flatten(),
            backing_format: extensions.backing_format,
        })
    }
}

fn features(more: Option<&MoreFields>, bitmaps: bool) -> Vec<&'static str> {
    let (incompatible, compatible) =
        more.map_or((0, 0), |more| (more.incompatible_features.get(), more.compatible_features.get()));
    let names = [
        (incompatible & 1 << 0 != 0, "dirty"),
        (incompatible & 1 << 1 != 0, "corrupt"),
        (incompatible & 1 << 2 != 0, "external data file"),
        (incompatible & 1 << 4 != 0, "extended L2 entries"),
        (compatible & 1 << 0 != 0, "lazy refcounts"),
        (bitmaps, "bitmaps"),
    ];
    names.into_iter().filter_map(|(is_set, name)| is_set.then_some(name)).collect()
}
