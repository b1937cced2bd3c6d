use std::fs;

use vm_memory::Bytes;

use super::*;

const PAGE: usize = 4096;

/// Returns whether this process has anything mapped at `address`.
fn is_mapped(address: usize) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| {
        let (start, end) = line.split_whitespace().next().and_then(|range| range.split_once('-')).unwrap();
        let [start, end] = [start, end].map(|address| usize::from_str_radix(address, 16).unwrap());
        (start..end).contains(&address)
    })
}

#[test]
fn the_last_view_unmaps() {
    // So large that nothing else is mapped in the middle a moment later.
    const LEN: usize = 4 << 30;
    let ram = GuestRam::from_ranges(&[(GuestAddress(0), LEN)]).unwrap();
    let middle = ram.get_host_address(GuestAddress(LEN as u64 / 2)).unwrap().addr();
    ram.write_obj(7_u32, GuestAddress(0x10)).unwrap();

    let view = ram.clone();
    drop(ram);
    assert_eq!(view.read_obj::<u32>(GuestAddress(0x10)).unwrap(), 7);
    assert!(is_mapped(middle));

    drop(view);
    assert!(!is_mapped(middle));
}

#[test]
fn a_region_is_the_window_of_its_mapping() {
    let mapping = MmapRegion::new(4 * PAGE).unwrap();
    let start = mapping.as_ptr().addr();
    let region = Region::new(mapping, PAGE..3 * PAGE, GuestAddress(0x10_0000)).unwrap();
    assert_eq!(GuestMemoryRegion::len(&region), 0x2000);
    assert_eq!(region.last_addr(), GuestAddress(0x10_1fff));
    assert_eq!(region.userspace_addr(), start + PAGE);
    let host = |at| region.get_host_address(MemoryRegionAddress(at)).map(|address| address.addr() - start);
    assert_eq!(host(0).unwrap(), PAGE);
    assert_eq!(host(0x1fff).unwrap(), 3 * PAGE - 1);
    // The mapping goes on there.
    assert!(host(0x2000).is_err());
    assert!(region.get_slice(MemoryRegionAddress(0x1fff), 2).is_err());
    assert!(region.get_slice(MemoryRegionAddress(u64::MAX), 2).is_err());
    assert_eq!(region.get_slice(MemoryRegionAddress(0x1000), 0x1000).unwrap().len(), 0x1000);

    let ram = GuestRam::new(vec![region]).unwrap();
    ram.write_slice(&[1; 0x2000], GuestAddress(0x10_0000)).unwrap();
    assert!(ram.write_slice(&[1; 2], GuestAddress(0x10_1fff)).is_err());
    assert!(ram.read_obj::<u8>(GuestAddress(0xf_ffff)).is_err());
}

#[test]
fn regions_that_make_no_sense_are_refused() {
    let region = |window, base| Region::new(MmapRegion::new(PAGE).unwrap(), window, GuestAddress(base));
    assert!(region(0..PAGE, 0).is_ok());
    assert!(region(1..PAGE + 1, 0).is_err());
    assert!(region(PAGE..PAGE, 0).is_err());
    assert!(region(0..PAGE, u64::MAX - 0x1000).is_ok());
    assert!(region(0..PAGE, u64::MAX - 0xffe).is_err());

    let [low, high] = [(GuestAddress(0), 2 * PAGE), (GuestAddress(0x2000), PAGE)];
    assert_eq!(GuestRam::from_ranges(&[low, high]).unwrap().num_regions(), 2);
    assert!(GuestRam::from_ranges(&[high, low]).is_err());
    assert!(GuestRam::from_ranges(&[low, (GuestAddress(0x1000), PAGE)]).is_err());
    assert!(GuestRam::from_ranges(&[]).is_err());
}
