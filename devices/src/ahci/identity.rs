//! The words by which all drives identify themselves: ATA8-ACS, "IDENTIFY DEVICE" and "IDENTIFY PACKET DEVICE".

use arch::checksum;

/// The interface's speeds: 1.5, 3 and 6 Gbps.
pub(super) const SATA_SPEEDS: u16 = 0b1110;
/// The transport: serial, up to SATA 3.0.
pub(super) const SATA_TRANSPORT: u16 = 0x107e;

/// The words of the answer.
pub(super) struct Words([u16; 256]);

impl Words {
    pub(super) fn new() -> Self {
        Self([0; 256])
    }

    pub(super) fn set(&mut self, word: usize, value: u16) {
        self.0[word] = value;
    }

    /// Sets a number that takes several words, lowest word first.
    pub(super) fn set_wide(&mut self, word: usize, value: u64, words: usize) {
        for (index, half) in (word..word + words).zip(value.to_le_bytes().as_chunks::<2>().0) {
            self.0[index] = u16::from_le_bytes(*half);
        }
    }

    /// Sets text, two characters in a word, padded with spaces.
    pub(super) fn set_text(&mut self, word: usize, words: usize, text: &str) {
        let mut text = text.bytes().map(|byte| if byte.is_ascii_graphic() { byte } else { b' ' });
        for index in word..word + words {
            let mut next = || text.next().unwrap_or(b' ');
            self.0[index] = u16::from_be_bytes([next(), next()]);
        }
    }

    /// Returns the bytes. The last one makes their sum 0: "Integrity word".
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.0[255] = 0x00a5;
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes[511] = checksum(&bytes[..511]);
        bytes
    }
}

/// Sets the model, the firmware's version and the serial number.
pub(super) fn write(words: &mut Words, model: &str, serial: &str) {
    words.set_text(10, 10, serial);
    words.set_text(23, 4, env!("CARGO_PKG_VERSION"));
    words.set_text(27, 20, model);
}

/// Sets the transfer modes: an emulated drive has all of them.
pub(super) fn write_modes(words: &mut Words, ultra_dma: u8) {
    words.set(63, 0x0007);
    words.set(64, 0x0003);
    for word in 65..=68 {
        words.set(word, 120);
    }
    words.set(88, 0x007f | 1 << (8 + u16::from(ultra_dma.min(6))));
}
