use arch::layout;
use proptest::prelude::*;

use super::super::{
    image::Segment,
    testing::{bzimage, message, read},
};
use super::*;

fn error(bytes: &[u8]) -> String {
    message(read(bytes).unwrap_err())
}

#[test]
fn the_code_after_the_setup_is_loaded_at_1_mib() {
    let image = read(&bzimage(4096, |header| header.code32_start = 0xc000_0000)).unwrap();
    assert_eq!(image.entry, Entry { protocol: Protocol::Linux64, rip: 0x10_0200 });
    let code = Segment { offset: 1024, file_len: 4096, address: 0x10_0000, memory_len: 4096 };
    assert_eq!(image.segments, [code]);
    assert_eq!({ image.header.unwrap().code32_start }, 0x10_0000, "where it is, not where it could be");
    assert_eq!(image.cmdline_max, 255);
}

#[test]
fn no_setup_sectors_are_four() {
    let mut bytes = bzimage(4096, |header| (header.setup_sects, header.syssize) = (0, 2560 / 16));
    assert_eq!(read(&bytes).unwrap().segments[0].offset, 2560);
    assert_eq!(read(&bytes).unwrap().segments[0].file_len, 1024 + 4096 - 2560);
    bytes.truncate(2560);
    assert!(error(&bytes).contains("truncated"));
}

#[test]
fn truncated_files_are_named_so_at_every_length() {
    for syssize in [0, 4096 / 16] {
        let bytes = bzimage(4096, |header| header.syssize = syssize);
        // A header that doesn't give the kernel's length still needs the entry.
        let whole = if syssize == 0 { 1024 + 0x201 } else { bytes.len() - 15 };
        for len in (0x206..whole).step_by(3).chain([whole - 1]) {
            let error = error(&bytes[..len]);
            assert!(error.contains("truncated"), "{syssize}, {len:#x}: {error}");
        }
        assert!(read(&bytes[..whole]).is_ok(), "{syssize}");
    }
    let error = error(&bzimage(4096, |_| {})[..1030]);
    assert!(error.ends_with("damaged: its header speaks of 5120 bytes, and there are 1030"), "{error}");
}

#[test]
fn other_kernels_are_refused_by_their_kind() {
    let cases = [
        (bzimage(4096, |header| header.xloadflags = 0), "32-bit"),
        (bzimage(4096, |header| header.version = 0x020b), "older than boot protocol 2.12"),
        (bzimage(4096, |header| header.loadflags = 0x80), "a zImage"),
    ];
    for (bytes, expected) in cases {
        let error = error(&bytes);
        assert!(error.contains(expected) && error.contains("give a bzImage"), "{error}");
    }
}

#[test]
fn the_header_ends_at_its_own_length() {
    let fill = |header: &mut setup_header| (header.handover_offset, header.kernel_info_offset) = (0x11, 0x22);
    let header = read(&bzimage(4096, fill)).unwrap().header.unwrap();
    assert_eq!((header.handover_offset, header.kernel_info_offset), (0x11, 0x22));
    let shorter = |header: &mut setup_header| {
        fill(header);
        header.jump = 0x66eb;
    };
    let header = read(&bzimage(4096, shorter)).unwrap().header.unwrap();
    assert_eq!((header.handover_offset, header.kernel_info_offset), (0x11, 0), "code is no field");
}

#[test]
fn memory_is_the_kernels_until_init_size_ends() {
    let end = |change: &dyn Fn(&mut setup_header)| read(&bzimage(4096, change)).unwrap().end;
    assert_eq!(end(&|_| {}), 0x110_0000);
    assert_eq!(end(&|header| header.pref_address = 0x100_1000), 0x130_0000, "aligned");
    assert_eq!(end(&|header| header.pref_address = 0), 0x30_0000, "aligned, from where it was loaded");
    let fixed = |header: &mut setup_header| (header.relocatable_kernel, header.pref_address) = (0, 0x80_1000);
    assert_eq!(end(&fixed), 0x90_1000, "not aligned: it runs where it was linked");
    assert_eq!(end(&|header| header.kernel_alignment = 0), 0x110_0000);
    assert_eq!(end(&|header| (header.pref_address, header.init_size) = (0, 0)), 0x20_0000);
    let far = bzimage(4096, |header| (header.pref_address, header.kernel_alignment) = (u64::MAX, 1));
    assert!(error(&far).contains("wants to run at 0xffffffffffffffff"), "{}", error(&far));
}

#[test]
fn the_header_limits_the_initramfs() {
    let limit = |change: &dyn Fn(&mut setup_header)| read(&bzimage(4096, change)).unwrap().initramfs;
    assert_eq!(limit(&|_| {}).below, 0x8000_0000);
    assert!(!limit(&|_| {}).above_4g && limit(&|header| header.xloadflags = 3).above_4g);
    assert_eq!(limit(&|header| header.initrd_addr_max = u32::MAX).below, 1 << 32);
}

proptest! {
    /// Any header must be handled without a panic, and an accepted kernel must be within the file.
    #[test]
    fn mutated_headers_are_refused_or_right(
        changes in prop::collection::vec((0x1f1_usize..0x270, any::<u8>()), 1..8),
        len in 0x270_usize..5120,
    ) {
        let mut bytes = bzimage(4096, |_| {});
        for (at, byte) in changes {
            // A file without the magic number is not a bzImage.
            if !(MAGIC_AT..MAGIC_AT + 4).contains(&at) {
                bytes[at] = byte;
            }
        }
        for bytes in [&bytes[..], &bytes[..len]] {
            if let Ok(image) = read(bytes) {
                let [code] = image.segments[..] else { panic!("{image:?}") };
                prop_assert_eq!(code.offset + code.file_len, bytes.len() as u64);
                prop_assert!(code.fills(image.entry.rip) && image.end >= layout::HIGH_RAM + code.file_len);
            }
        }
    }
}
