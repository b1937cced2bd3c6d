use super::*;

const GIB: u64 = 1 << 30;

#[test]
fn the_window_for_64_bit_bars_is_right_above_ram() {
    for (ram_end, start) in [
        (GIB, 64 * GIB),
        (RAM_ABOVE_4G, 64 * GIB),
        (64 * GIB, 64 * GIB),
        (64 * GIB + PAGE, 128 * GIB),
        (1000 * GIB, 1024 * GIB),
    ] {
        assert_eq!(pci_mmio64(ram_end, 46), Some(start..start + 64 * GIB), "{ram_end:#x}");
    }
}

#[test]
fn the_window_for_64_bit_bars_is_where_processors_reach_it() {
    assert_eq!(pci_mmio64(GIB, 36), None);
    assert_eq!(pci_mmio64(GIB, 32), None);
    assert_eq!(pci_mmio64(64 * GIB, 37), Some(64 * GIB..128 * GIB));
    assert_eq!(pci_mmio64(64 * GIB + PAGE, 37), None);
    assert_eq!(pci_mmio64((1 << 52) - 64 * GIB, 52), Some((1 << 52) - 64 * GIB..1 << 52));
    assert_eq!(pci_mmio64((1 << 52) - GIB, 52), None);
    assert_eq!(pci_mmio64(u64::MAX, 52), None);
    assert_eq!(pci_mmio64(GIB, 64), None, "no processor has that");
}
