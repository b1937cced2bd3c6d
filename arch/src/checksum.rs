/// Returns the byte that makes the sum of `bytes` and itself 0, as ACPI, SMBIOS, ATA and EDID define checksums.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte))
}
