use arch::boot;
use vm_memory::{Bytes, GuestMemoryBackend, GuestMemoryRegion};

use super::*;

fn config(size: u64) -> MemoryConfig {
    MemoryConfig { size: Size(size), hugepages: false, prefault: false }
}

#[test]
fn ram_is_zeroed_writable_and_aligned_for_huge_pages() {
    let guest = map(&boot::memory_map(128 << 20).unwrap(), &config(128 << 20)).unwrap();
    assert_eq!(guest.num_regions(), 1);
    assert_eq!(guest.read_obj::<u64>(GuestAddress((128 << 20) - 8)).unwrap(), 0);
    guest.write_obj(7_u64, GuestAddress(0x1000)).unwrap();
    assert_eq!(guest.read_obj::<u64>(GuestAddress(0x1000)).unwrap(), 7);
    assert!(guest.read_obj::<u64>(GuestAddress(128 << 20)).is_err());
    let host = guest.get_host_address(GuestAddress(0)).unwrap();
    assert_eq!(host.align_offset(HUGE_PAGE_LEN), 0);
}

#[test]
fn memory_that_does_not_fit_below_the_pci_window_is_above_4_gib() {
    let memory = map(&boot::memory_map(4 << 30).unwrap(), &config(4 << 30)).unwrap();
    let starts: Vec<_> = memory.iter().map(|region| (region.start_addr().0, region.len())).collect();
    assert_eq!(starts, [(0, 3 << 30), (4 << 30, 1 << 30)]);
    for (start, _) in starts {
        let host = memory.get_host_address(GuestAddress(start)).unwrap();
        assert_eq!(host.align_offset(HUGE_PAGE_LEN), 0);
    }
}

#[test]
fn too_much_is_refused() {
    let error = map(&boot::memory_map(1 << 46).unwrap(), &config(1 << 46)).unwrap_err();
    assert_eq!(error.to_string(), "--memory: the host can't reserve 64 TiB; give less, or free some");
}

#[test]
fn prefault_touches_all() {
    let memory =
        map(&boot::memory_map(4 << 20).unwrap(), &MemoryConfig { prefault: true, ..config(4 << 20) })
            .unwrap();
    assert_eq!(memory.read_obj::<u64>(GuestAddress(0x20_0000)).unwrap(), 0);
}
