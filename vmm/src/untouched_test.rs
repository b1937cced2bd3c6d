use std::{os::unix::fs::FileExt, slice};

use arch::memory::{GuestRam, Region};
use vm_memory::{Bytes, GuestAddress, MmapRegion};

use super::*;
use crate::snapshot::{MemoryLayout, Part, ram};

const PIECE: usize = 2 << 20;
const PIECES: usize = 4;
const LEN: usize = PIECES * PIECE;

/// Memory of small pages, mapped from a file or anonymous.
fn memory(file: Option<File>) -> GuestRam {
    let flags =
        libc::MAP_PRIVATE | libc::MAP_NORESERVE | if file.is_none() { libc::MAP_ANONYMOUS } else { 0 };
    let place = file.map(|file| FileOffset::new(file, 0));
    let mapping = MmapRegion::build(place, LEN, libc::PROT_READ | libc::PROT_WRITE, flags).unwrap();
    GuestRam::new(vec![Region::new(mapping, 0..LEN, GuestAddress(0)).unwrap()]).unwrap()
}

/// The pieces that are known to be zeros.
fn found(part: &Part) -> [bool; PIECES] {
    let (bytes, untouched) = (part.memory.bytes().unwrap(), Untouched::open());
    let pieces: [usize; PIECES] = [0, 1, 2, 3];
    pieces.map(|piece| {
        let start = piece * PIECE;
        untouched.has(&bytes.subslice(start, PIECE).unwrap(), part.memory.file_at(start as u64).as_ref())
    })
}

#[test]
fn only_untouched_memory_is_found_and_reading_around_it_leaves_it_so() {
    let memory = memory(None);
    let part = &ram(&memory)[0];
    assert_eq!(found(part), [true; PIECES]);
    memory.write_obj(1_u8, GuestAddress((2 * PIECE - 1) as u64)).unwrap();
    // Zeros that were written are data as well.
    memory.write_obj(0_u8, GuestAddress(3 * PIECE as u64)).unwrap();
    assert_eq!(found(part), [true, false, true, false]);

    let file = tempfile::tempfile().unwrap();
    MemoryLayout::write(slice::from_ref(part), &file, &|| false).unwrap();
    assert_eq!(found(part), [true, false, true, false]);
    let mut byte = [0];
    file.read_exact_at(&mut byte, (2 * PIECE - 1) as u64).unwrap();
    assert_eq!(byte, [1]);
}

#[test]
fn a_files_data_is_found_though_nobody_has_touched_it() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LEN as u64).unwrap();
    file.write_all_at(&[5], PIECE as u64 + 0x1234).unwrap();
    let memory = memory(Some(file));
    assert_eq!(found(&ram(&memory)[0]), [true, false, true, true]);
    memory.write_obj(1_u8, GuestAddress(0)).unwrap();
    let part = &ram(&memory)[0];
    assert_eq!(found(part), [false, false, true, true]);

    let saved = tempfile::tempfile().unwrap();
    let layout = MemoryLayout::write(slice::from_ref(part), &saved, &|| false);
    assert_eq!(layout.unwrap().sizes().1, 2 * PIECE as u64);
    let mut byte = [0];
    saved.read_exact_at(&mut byte, PIECE as u64 + 0x1234).unwrap();
    assert_eq!(byte, [5]);
}
