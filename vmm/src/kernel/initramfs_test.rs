use super::*;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// A bzImage's limit, from Linux's own numbers.
const LINUX: Limit = Limit { below: 2 * GIB, above_4g: true, why: "by its header's initrd_addr_max" };
const OLD: Limit = Limit { above_4g: false, ..LINUX };

/// The memory of a machine.
fn ram(size: u64) -> Ram {
    let low_end = size.min(layout::PCI_MMIO);
    Ram { low_end, high: layout::RAM_ABOVE_4G..layout::RAM_ABOVE_4G + (size - low_end) }
}

#[test]
fn an_initramfs_is_as_high_as_every_kernel_accepts() {
    let place = |limit: Limit, len, size| limit.place(len, 32 * MIB, &ram(size));
    for limit in [LINUX, OLD] {
        assert_eq!(place(limit, 5000, 64 * MIB), Some(64 * MIB - 8192..64 * MIB - 8192 + 5000));
        assert_eq!(place(limit, MIB, 8 * GIB), Some(2 * GIB - MIB..2 * GIB));
        assert_eq!(place(limit, 2 * GIB - 32 * MIB, 8 * GIB), Some(32 * MIB..2 * GIB));
        assert_eq!(place(limit, 33 * MIB, 64 * MIB), None);
    }
}

#[test]
fn more_than_2_gib_go_higher_where_the_kernel_allows() {
    let place = |limit: Limit, len, size| limit.place(len, 32 * MIB, &ram(size));
    assert_eq!(place(LINUX, 5 * GIB / 2, 3 * GIB), Some(GIB / 2..3 * GIB));
    assert_eq!(place(LINUX, 4 * GIB, 8 * GIB), Some(5 * GIB..9 * GIB));
    assert_eq!(place(OLD, 5 * GIB / 2, 8 * GIB), None);
    assert_eq!(place(LINUX, 6 * GIB, 8 * GIB), None, "not in one piece");
}

#[test]
fn the_memory_that_is_asked_for_is_enough_and_no_more() {
    for limit in [LINUX, OLD, Limit { below: layout::PCI_MMIO, ..OLD }] {
        for len in [1, 4096, MIB + 1, 2 * GIB, 3 * GIB - 32 * MIB - 4096, 5 * GIB] {
            let start = 32 * MIB + 8;
            let Some(need) = limit.memory_for(len, start) else {
                assert!(!limit.above_4g && start + len > limit.below);
                assert_eq!(limit.place(len, start, &ram(16 * GIB)), None);
                continue;
            };
            assert!(limit.place(len, start, &ram(need)).is_some(), "{limit:?}, {len:#x}");
            let less = limit.place(len, start, &ram(need - 4096));
            assert_eq!(less, None, "{limit:?}, {len:#x}");
        }
    }
    assert_eq!(LINUX.memory_for(u64::MAX, MIB), None);
}
