//! The maker's names, which are in the header of every table.

pub(super) const OEM_ID: [u8; 6] = *b"NVMM  ";
pub(super) const OEM_TABLE_ID: [u8; 8] = *b"NVMM    ";
pub(super) const OEM_REVISION: u32 = 1;
