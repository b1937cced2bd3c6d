//! Files of variables, for tests.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::VarsFile;

/// The length of the variables.
const LEN: u64 = 3 * 0x1000;

/// The first bytes of Debian's OVMF_VARS_4M.fd, except the length and the number of blocks: a firmware volume.
const HEADER: [u8; 0x48] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9,
    0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50, 0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5f, 0x46,
    0x56, 0x48, 0xff, 0xfe, 0x04, 0x00, 0x48, 0x00, 0x38, 0xc9, 0x00, 0x00, 0x00, 0x02, 0x03, 0x00, 0x00,
    0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// Variables filled with `mark`.
pub(super) fn contents(mark: u8) -> Vec<u8> {
    let mut contents = vec![mark; usize::try_from(LEN).unwrap()];
    contents[..HEADER.len()].copy_from_slice(&HEADER);
    contents
}

/// Opens `folder`'s vars.fd, with a template whose variables are all 0.
pub(super) fn open(folder: &Path) -> Result<(VarsFile, Vec<u8>), super::VarsError> {
    VarsFile::open(&folder.join("vars.fd"), Some(&contents(0)))
}

/// Creates a file.
pub(super) fn vars(folder: &TempDir) -> (VarsFile, PathBuf) {
    let (file, bytes) = open(folder.path()).unwrap();
    assert_eq!(bytes, contents(0));
    (file, folder.path().join("vars.fd"))
}
