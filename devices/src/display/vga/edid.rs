//! The monitor's description of itself: VESA Enhanced EDID Standard, release A, revision 2 (EDID 1.4).

use arch::checksum;

use super::resolution::Resolution;

/// Bytes of a base block.
const LEN: usize = 128;
/// Bytes of a descriptor, and the offset of the first of four.
const DESCRIPTOR: usize = 18;
const DESCRIPTORS: usize = 54;
/// "Display Descriptor" tags: the name, and a dummy.
const NAME: u8 = 0xfc;
const DUMMY: u8 = 0x10;

/// Frames per second.
const REFRESH: u32 = 60;
/// Coordinated Video Timings 1.2, "CRT Reduced Blanking": the number of blank pixels and lines.
const BLANK: u32 = 160;
const FRONT_PORCH: u32 = 48;
const SYNC: u32 = 32;
const LINES_FRONT_PORCH: u32 = 3;
const LINES_SYNC: u32 = 6;
/// The shortest time for the blank lines, in microseconds.
const LINES_BLANK: u32 = 460;

/// The EDID block of a monitor that prefers `resolution`.
pub(super) fn edid(resolution: Resolution) -> [u8; LEN] {
    let mut block = [0; LEN];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    // The maker in letters of five bits, NVM; the product, no serial number; made in 2026; EDID 1.4.
    put(8, &[0x3a, 0xcd, 0x11, 0x11, 0, 0, 0, 0, 0, 36, 1, 4]);
    // Digital, eight bits a colour; 26 by 16 cm; gamma 2.2; RGB, sRGB, and the first timing is the native one.
    put(20, &[0xa5, 26, 16, 120, 0x06]);
    // sRGB's chromaticities.
    put(25, &[0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54]);
    // Established timings: 640x480, 800x600 and 1024x768 at 60 Hz.
    put(35, &[0x21, 0x08, 0]);
    // No standard timings.
    put(38, &[1; 16]);
    put(DESCRIPTORS, &timing(resolution));
    for (at, tag) in [(1, NAME), (2, DUMMY), (3, DUMMY)] {
        put(DESCRIPTORS + at * DESCRIPTOR + 3, &[tag]);
    }
    put(DESCRIPTORS + DESCRIPTOR + 5, b"nvmm\n        ");
    block[LEN - 1] = checksum(&block);
    block
}

/// "Detailed Timing Descriptor".
fn timing(Resolution { width, height }: Resolution) -> [u8; DESCRIPTOR] {
    let (width, height) = (u32::from(width), u32::from(height));
    // The microseconds of a frame that remain for the visible lines.
    let shown = 1_000_000 / REFRESH - LINES_BLANK;
    let blank = (LINES_BLANK * height).div_ceil(shown).max(LINES_FRONT_PORCH + LINES_SYNC + 6);
    let clock = (width + BLANK) * (height + blank) * REFRESH / 10_000;
    let low = |value: u32| value.to_le_bytes()[0];
    let high = |value: u32| value.to_le_bytes()[1] & 0xf;
    [
        low(clock),
        clock.to_le_bytes()[1],
        low(width),
        low(BLANK),
        high(width) << 4 | high(BLANK),
        low(height),
        low(blank),
        high(height) << 4 | high(blank),
        low(FRONT_PORCH),
        low(SYNC),
        low(LINES_FRONT_PORCH << 4 | LINES_SYNC),
        0,
        // The size in millimetres.
        low(260),
        low(160),
        high(260) << 4 | high(160),
        0,
        0,
        // Digital separate sync, positive horizontal polarity.
        0x1a,
    ]
}

#[cfg(test)]
#[path = "edid_test.rs"]
mod tests;
