use std::{fs::File, os::unix::fs::FileExt};

use arch::boot;
use tempfile::tempfile;
use vm_memory::GuestAddress;

use super::*;
use crate::{config::MemoryConfig, memory, size::Size};

const LEN: u64 = 4 << 20;
const MAP: &str = "/proc/self/maps";

/// Anonymous memory with data in each page.
fn anonymous() -> GuestRam {
    let config = MemoryConfig { size: Size(LEN), hugepages: false, prefault: false };
    let memory = memory::map(&boot::memory_map(LEN).unwrap(), &config).unwrap();
    for page in (0..LEN).step_by(PAGE_LEN) {
        memory.write_obj(0x55_u8, GuestAddress(page + 8)).unwrap();
    }
    memory
}

/// The same from a file, as a snapshot's is.
fn of_file() -> (GuestRam, File) {
    let file = tempfile().unwrap();
    file.write_all_at(&vec![0x55; usize::try_from(LEN).unwrap()], 0).unwrap();
    (memory::map_file(&boot::memory_map(LEN).unwrap(), &file, |at, _| Ok(at)).unwrap(), file)
}

/// The pages that read as zeros.
fn gone(memory: &GuestRam) -> Vec<u64> {
    let is_gone = |page: &u64| memory.read_obj::<u8>(GuestAddress(page + 8)).unwrap() == 0;
    (0..LEN).step_by(PAGE_LEN).filter(is_gone).collect()
}

fn give(taken: &TakenBack, memory: &GuestRam, start: u64, len: usize) -> io::Result<()> {
    taken.reclaim(&memory.get_slice(GuestAddress(start), len).unwrap())
}

#[test]
fn pages_that_are_given_back_read_as_zeros() {
    let (mapped, file) = of_file();
    for memory in [anonymous(), mapped] {
        let taken = TakenBack::new(&memory);
        // It has been written to since, and is to be given back again.
        for _ in 0..2 {
            give(&taken, &memory, 0x20_0000, PAGE_LEN).unwrap();
            // Only the pages that are entirely in the range.
            give(&taken, &memory, 0x30_0004, 3 * PAGE_LEN).unwrap();
            give(&taken, &memory, 0x38_0001, PAGE_LEN - 1).unwrap();
            give(&taken, &memory, 0x38_2001, 2 * PAGE_LEN - 2).unwrap();
            give(&taken, &memory, 0x38_5000, 1).unwrap();
            assert_eq!(gone(&memory), [0x20_0000, 0x30_1000, 0x30_2000]);
            memory.write_obj(0x55_u8, GuestAddress(0x20_0008)).unwrap();
        }
    }
    let mut page = [0; PAGE_LEN];
    file.read_exact_at(&mut page, 0x20_0000).unwrap();
    assert_eq!(page, [0x55; PAGE_LEN], "the file is as it was");
}

/// The guest may give up every other page, but the host's kernel limits the number of mappings.
#[test]
fn places_are_limited_and_pages_beyond_are_zeroed() {
    let (memory, _file) = of_file();
    let taken = TakenBack::with_places(&memory, 3);
    let page = |number: u64| number * PAGE_LEN as u64;
    for number in [10, 20, 30] {
        give(&taken, &memory, page(number), PAGE_LEN).unwrap();
    }
    let error = give(&taken, &memory, page(40), PAGE_LEN).unwrap_err().to_string();
    assert!(error.starts_with("they are zeroed only"), "{error}");
    // Enlarged places don't count again, nor do existing ones.
    give(&taken, &memory, page(9), PAGE_LEN).unwrap();
    give(&taken, &memory, page(11), 8 * PAGE_LEN).unwrap();
    give(&taken, &memory, page(19), 2 * PAGE_LEN).unwrap();
    give(&taken, &memory, page(12), PAGE_LEN).unwrap();
    let expected: Vec<_> = (9..=20).chain([30, 40]).map(page).collect();
    assert_eq!(gone(&memory), expected);
    assert_eq!(taken.places.lock().unwrap().ranges.len(), 2);
    // A place that has merged with another is not available again.
    give(&taken, &memory, page(50), PAGE_LEN).unwrap_err();
}

/// Adjacent places are one mapping in the kernel, in whatever order they are added.
#[test]
fn the_kernel_has_few_mappings() {
    let (memory, _file) = of_file();
    let taken = TakenBack::new(&memory);
    let start = memory.iter().next().unwrap().userspace_addr();
    for number in (0..1024_u64).map(|number| (number * 341) % 1024) {
        give(&taken, &memory, number * PAGE_LEN as u64, PAGE_LEN).unwrap();
        memory.write_obj(1_u8, GuestAddress(number * PAGE_LEN as u64)).unwrap();
    }
    let maps = std::fs::read_to_string(MAP).unwrap();
    let inside = maps.lines().filter(|line| {
        let at = usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        (start..start + usize::try_from(LEN).unwrap()).contains(&at)
    });
    let places = MOST_PLACES - taken.places.lock().unwrap().left;
    let mappings = inside.count();
    assert!(mappings <= 2 * places + 1, "{mappings} mappings of {places} places");
}
