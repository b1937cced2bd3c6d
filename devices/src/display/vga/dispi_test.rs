use proptest::prelude::*;

use super::*;

const VRAM: usize = 16 << 20;

/// Sets a mode, with these bits in addition to `VBE_DISPI_ENABLED`. Returns whether the screen must be cleared.
fn set(dispi: &mut Dispi, width: u16, height: u16, bpp: u16, bits: u16) -> bool {
    for (index, value) in [(ENABLE, 0), (XRES, width), (YRES, height), (BPP, bpp)] {
        assert!(!dispi.write(index, value));
    }
    dispi.write(ENABLE, 1 | bits)
}

#[test]
fn the_interface_reports_its_version_and_its_memory() {
    let mut dispi = Dispi::new(VRAM);
    assert_eq!([dispi.read(ID), dispi.read(MEMORY)], [0xb0c5, 256]);
    for (written, read) in [(0xb0c0, 0xb0c0), (0xb0c4, 0xb0c4), (0xb0c6, 0xb0c4), (0, 0xb0c4)] {
        assert!(!dispi.write(ID, written));
        assert_eq!(dispi.read(ID), read);
    }
    assert!(!dispi.write(ENABLE, 2));
    assert_eq!([XRES, YRES, BPP].map(|index| dispi.read(index)), [4096, 4096, 32]);
    assert_eq!(dispi.mode(), None);
}

#[test]
fn a_mode_begins_when_it_is_enabled() {
    let mut dispi = Dispi::new(VRAM);
    assert!(set(&mut dispi, 1024, 768, 32, 0x40), "the screen is cleared");
    let mode = Linear { width: 1024, height: 768, format: Format::Xrgb8888, start: 0, pitch: 4096 };
    assert_eq!(dispi.mode(), Some(mode.clone()));
    assert_eq!([VIRT_WIDTH, VIRT_HEIGHT].map(|index| dispi.read(index)), [1024, 4096]);
    assert!(!dispi.write(ENABLE, 0x41), "it was enabled before");
    assert!(!dispi.write(VIRT_WIDTH, 1280));
    assert!(!dispi.write(Y_OFFSET, 2));
    assert!(!dispi.write(X_OFFSET, 8));
    assert_eq!(dispi.mode(), Some(Linear { start: 2 * 5120 + 32, pitch: 5120, ..mode }));
    assert!(!set(&mut dispi, 800, 600, 16, 0xc0), "its memory is kept");
    let mode = Linear { width: 800, height: 600, format: Format::Rgb565, start: 0, pitch: 1600 };
    assert_eq!(dispi.mode(), Some(mode), "the offsets are gone");
    assert!(!dispi.write(ENABLE, 0));
    assert_eq!(dispi.mode(), None);
}

#[test]
fn a_mode_that_there_is_not_becomes_one_that_there_is() {
    let mut dispi = Dispi::new(VRAM);
    for (given, becomes) in [
        ((1366, 768, 32), (1360, 768, 32)),
        ((0, 0, 0), (8, 1, 8)),
        ((640, 480, 4), (640, 480, 8)),
        ((u16::MAX, u16::MAX, 32), (4096, 1024, 32)),
        ((u16::MAX, u16::MAX, 8), (4096, 1024, 8)),
        ((8, u16::MAX, 24), (8, 4096, 24)),
        ((2560, 1600, 32), (2560, 1600, 32)),
    ] {
        set(&mut dispi, given.0, given.1, given.2, 0);
        assert_eq!((dispi.read(XRES), dispi.read(YRES), dispi.read(BPP)), becomes, "{given:?}");
    }
}

proptest! {
    #[test]
    fn no_mode_has_more_pixels_than_there_is_room_for(writes: Vec<(u16, u16)>) {
        let mut dispi = Dispi::new(VRAM);
        for (index, value) in writes {
            let _clear = dispi.write(index % 12, value);
            if let Some(mode) = dispi.mode() {
                prop_assert!(usize::from(mode.width) * usize::from(mode.height) <= VRAM / 4);
                prop_assert!(mode.width > 0 && mode.height > 0 && mode.pitch > 0);
            }
        }
    }
}
