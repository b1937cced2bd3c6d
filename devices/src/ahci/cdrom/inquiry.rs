//! The answers by which a CD-ROM drive describes itself.

/// SPC-4, "Standard INQUIRY data".
pub(super) fn standard() -> Vec<u8> {
    // A CD-ROM drive, removable, by MMC.
    let mut data = vec![0x05, 0x80, 0x05, 0x32, 31, 0, 0, 0];
    data.extend(text("NVMM", 8));
    data.extend(text("DVD-ROM", 16));
    data.extend(text(env!("CARGO_PKG_VERSION"), 4));
    data
}

/// SPC-4, "Vital product data parameters": the list of pages, and an empty serial number.
pub(super) fn page(code: u8) -> Option<Vec<u8>> {
    match code {
        0x00 => Some(vec![0x05, 0x00, 0, 2, 0x00, 0x80]),
        0x80 => Some(vec![0x05, 0x80, 0, 0]),
        _ => None,
    }
}

/// SPC-4, "MODE SENSE(10)": the header and the pages.
pub(super) fn mode_sense(page: u8, locked: bool) -> Option<Vec<u8>> {
    // Error recovery by default, and the capabilities: the drive reads CDs and DVDs, has a tray, ejects, locks.
    let recovery = [0x01, 6, 0, 5, 0, 0, 0, 0];
    let mut capabilities = [0; 22];
    capabilities[..2].copy_from_slice(&[0x2a, 20]);
    capabilities[2] = 0b0011_1011;
    capabilities[4] = 0x70;
    capabilities[6] = 0b0010_1001 | if locked { 0b10 } else { 0 };
    // Speeds in KB/s, and the buffer in KiB.
    capabilities[8..10].copy_from_slice(&706_u16.to_be_bytes());
    capabilities[11] = 2;
    capabilities[12..14].copy_from_slice(&512_u16.to_be_bytes());
    capabilities[14..16].copy_from_slice(&706_u16.to_be_bytes());
    let pages = match page {
        0x01 => recovery.to_vec(),
        0x2a => capabilities.to_vec(),
        0x3f => [&recovery[..], &capabilities].concat(),
        _ => return None,
    };
    let len = u16::try_from(pages.len() + 6).ok()?;
    Some([&len.to_be_bytes()[..], &[0; 6], &pages].concat())
}

fn text(text: &str, len: usize) -> impl Iterator<Item = u8> {
    text.bytes().chain(std::iter::repeat(b' ')).take(len)
}
