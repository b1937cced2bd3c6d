//! The faults in a qcow2 image's header, with the way out where there is one.

use super::super::SECTOR_SIZE;

/// Reasons why an image can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file has another format.
    #[error("the file doesn't begin as qcow2 images do; give the format that it has, as format=raw does")]
    Magic,
    /// The file is shorter than the header.
    #[error("the file ends within its header, after {0} bytes")]
    Truncated(u64),
    /// Version 1, or one above 3.
    #[error("the image is of version {0}, and only 2 and 3 can be read; {CONVERT}")]
    Version(u32),
    /// An encrypted image.
    #[error(
        "the image is encrypted ({0}), which can't be read; {CONVERT}, with --object secret for the old one"
    )]
    Encrypted(&'static str),
    /// `compression_type` of another method than zlib.
    #[error("the image is compressed by {0}, which can't be read; {CONVERT}")]
    Compression(&'static str),
    /// Incompatible feature 4.
    #[error("the image has extended L2 entries (subclusters), which can't be read; {CONVERT}")]
    ExtendedL2,
    /// Incompatible feature 2, without the file's name.
    #[error("the image keeps its data in another file, but doesn't name it; {CONVERT}")]
    DataFile,
    /// Incompatible features 0 and 1.
    #[error(
        "the image is marked as {0}; repair it with qemu-img check -r all, or only read it, by readonly=on or under an overlay"
    )]
    Broken(&'static str),
    /// An incompatible feature that is not specified.
    #[error("the image needs a feature that can't be known, incompatible feature {0}")]
    Feature(u32),
    /// Dirty bitmaps, which would be out of date after a write.
    #[error(
        "the image has dirty bitmaps, which writing would make useless; \
         add readonly=on, or remove them with qemu-img bitmap --remove"
    )]
    Bitmaps,
    /// A field with an impossible value.
    #[error("the header's {field} is {value}: {why}")]
    Field {
        /// The field's name in the specification.
        field: &'static str,
        /// The value.
        value: u64,
        /// The reason why it is wrong.
        why: &'static str,
    },
    /// An impossible header extension.
    #[error("the header extension {kind:#010x} of {len} bytes {why}")]
    Extension {
        /// The type.
        kind: u32,
        /// The length.
        len: u64,
        /// The reason why it is wrong.
        why: &'static str,
    },
    /// A name that imago can't write back, in an image whose header it would write.
    #[error(
        "the image names a file that is not in UTF-8, and has a feature that is to be cleared before it is written to; \
         qemu-img check -r all clears it"
    )]
    Name,
}

/// The faults because of which an image is only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Flaw {
    /// Incompatible feature 0.
    #[error("it is marked as dirty, as it was not closed after it was last written to; it is only read")]
    Dirty,
    /// Incompatible feature 1.
    #[error("it is marked as corrupt, so what is read may be wrong; it is only read")]
    Corrupt,
    /// The size is not a whole number of sectors.
    #[error("its size is {0} bytes; the last {rest} are no whole sector and are left out", rest = .0 % SECTOR_SIZE)]
    Size(u64),
}

/// The way out for images that another program can read.
const CONVERT: &str = "qemu-img convert -O qcow2 OLD NEW makes one that can";

/// The error of a field with an impossible value.
pub(super) fn field(field: &'static str, value: impl Into<u64>, why: &'static str) -> HeaderError {
    HeaderError::Field { field, value: value.into(), why }
}
