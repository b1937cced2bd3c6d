//! Header extensions, which follow the fields.

use zerocopy::{FromBytes, big_endian::U32};

use super::HeaderError;
use crate::printable::Untrusted;

/// Types of header extensions.
pub(super) const END: u32 = 0;
pub(super) const BACKING_FORMAT: u32 = 0xe279_2aca;
pub(super) const FEATURE_NAMES: u32 = 0x6803_f857;
pub(super) const BITMAPS: u32 = 0x2385_2875;
pub(super) const DATA_FILE_NAME: u32 = 0x4441_5441;

/// An entry of the feature name table: type, bit, and 46 bytes of name.
const FEATURE_NAME_LEN: usize = 48;

/// The header extensions that matter here.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) backing_format: Option<Untrusted>,
    pub(super) data_file: Option<Untrusted>,
    /// The offset of that name in the header.
    pub(super) data_file_at: usize,
    pub(super) bitmaps: bool,
}

impl Extensions {
    /// Reads the extensions from `offset` to the one that ends them, or to `end`.
    pub(super) fn parse(bytes: &[u8], offset: usize, end: Option<usize>) -> Result<Self, HeaderError> {
        let mut found = Self::default();
        let all = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
        let mut rest = all.get(offset..).unwrap_or_default();
        while let Ok((&[kind, len], data)) = <[U32; 2]>::ref_from_prefix(rest) {
            let (kind, len) = (kind.get(), len.get() as usize);
            if kind == END {
                break;
            }
            let wrong = |why| HeaderError::Extension { kind, len: len as u64, why };
            let contents = data.get(..len).ok_or_else(|| wrong("ends past the header"))?;
            match kind {
                BACKING_FORMAT => found.backing_format = Some(contents.into()),
                DATA_FILE_NAME => {
                    found.data_file = Some(contents.into());
                    found.data_file_at = all.len() - data.len();
                }
                // imago reads the table in entries of this length, without checking that the last one is complete.
                FEATURE_NAMES if !len.is_multiple_of(FEATURE_NAME_LEN) => {
                    return Err(wrong("is no table of feature names"));
                }
                BITMAPS => found.bitmaps = true,
                _ => {}
            }
            rest = data.get(len.next_multiple_of(8)..).unwrap_or_default();
        }
        Ok(found)
    }
}
