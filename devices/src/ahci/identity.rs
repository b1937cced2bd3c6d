//! What all drives say of themselves: ATA8-ACS, "IDENTIFY DEVICE" and "IDENTIFY PACKET DEVICE".

pub(super) use super::disk::Words;

/// 1.5, 3 and 6 Gbps.
pub(super) const SATA_SPEEDS: u16 = 0b1110;
/// Serial, up to SATA 3.0.
pub(super) const SATA_TRANSPORT: u16 = 0x107e;

/// Who the drive is.
pub(super) fn write(words: &mut Words, model: &str, serial: &str) {
    words.set_text(10, 10, serial);
    words.set_text(23, 4, env!("CARGO_PKG_VERSION"));
    words.set_text(27, 20, model);
}

/// The transfer modes, of which an emulated drive has them all.
pub(super) fn write_modes(words: &mut Words, ultra_dma: u8) {
    words.set(63, 0x0007);
    words.set(64, 0x0003);
    for word in 65..=68 {
        words.set(word, 120);
    }
    words.set(88, 0x007f | 1 << (8 + u16::from(ultra_dma.min(6))));
}
