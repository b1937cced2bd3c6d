//! The faults of the header of a qcow2 image, and the way out where there is one.

use super::super::SECTOR_SIZE;

/// Why an image can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another format.
    #[error("the file doesn't begin as qcow2 images do; give the format that it has, as format=raw does")]
    Magic,
    /// The file is too short.
    #[error("the file ends within its header, after {0} bytes")]
    Truncated(u64),
    /// Versions 1 and above 3.
    #[error("the image is of version {0}, and only 2 and 3 can be read; {CONVERT}")]
    Version(u32),
    /// An encrypted image.
    #[error(
        "the image is encrypted ({0}), which can't be read; {CONVERT}, with --object secret for the old one"
    )]
    Encrypted(&'static str),
    /// `compression_type`.
    #[error("the image is compressed by {0}, which can't be read; {CONVERT}")]
    Compression(&'static str),
    /// Incompatible feature 4.
    #[error("the image has extended L2 entries (subclusters), which can't be read; {CONVERT}")]
    ExtendedL2,
    /// Incompatible feature 2, without a name.
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
    /// Bitmaps would be out of date after a write.
    #[error(
        "the image has dirty bitmaps, which writing would make useless; \
         add readonly=on, or remove them with qemu-img bitmap --remove"
    )]
    Bitmaps,
    /// A value that no image has.
    #[error("the header's {field} is {value}: {why}")]
    Field {
        /// Its name in the specification.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The fault.
        why: &'static str,
    },
    /// A header extension that no image has.
    #[error("the header extension {kind:#010x} of {len} bytes {why}")]
    Extension {
        /// Its type.
        kind: u32,
        /// Its length.
        len: u64,
        /// The fault.
        why: &'static str,
    },
    /// A name that imago can't write, in an image whose header it would write.
    #[error(
        "the image names a file that is not in UTF-8, and has a feature that is to be cleared before it is written to; \
         qemu-img check -r all clears it"
    )]
    Name,
}

/// The faults by which an image is only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Flaw {
    /// Incompatible feature 0.
    #[error("it is marked as dirty, as it was not closed after it was last written to; it is only read")]
    Dirty,
    /// Incompatible feature 1.
    #[error("it is marked as corrupt, so what is read may be wrong; it is only read")]
    Corrupt,
    /// No whole sectors.
    #[error("its size is {0} bytes; the last {rest} are no whole sector and are left out", rest = .0 % SECTOR_SIZE)]
    Size(u64),
}

/// The way out of all that another program can read.
const CONVERT: &str = "qemu-img convert -O qcow2 OLD NEW makes one that can";

/// A value that no image has.
pub(super) fn field(field: &'static str, value: impl Into<u64>, why: &'static str) -> HeaderError {
    HeaderError::Field { field, value: value.into(), why }
}
