use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::*;

const RAM: usize = 0x4000;
/// A second linear address of the RAM.
const ALIAS: u64 = 0xffff_8000_0000_0000;

/// RAM in which byte n is n, not mapped from 0x3000 on.
fn ram() -> GuestRam {
    let ram = GuestRam::from_ranges(&[(GuestAddress(0), RAM)]).unwrap();
    let bytes: Vec<_> = (0..RAM).map(|at| at.to_le_bytes()[0]).collect();
    ram.write_slice(&bytes, GuestAddress(0)).unwrap();
    ram
}

fn translate(address: u64) -> Option<u64> {
    match address {
        0..0x3000 => Some(address),
        ALIAS.. => Some(address - ALIAS),
        // Not RAM.
        0x1_0000..0x1_1000 => Some(address),
        _ => None,
    }
}

fn space(ram: &GuestRam) -> Space<'_> {
    Space { translate: &translate, ram }
}

fn byte(ram: &GuestRam, at: u64) -> u8 {
    ram.read_obj(GuestAddress(at)).unwrap()
}

fn watch(address: u64, len: u64, on: Watch) -> Breakpoint {
    Breakpoint::Watch { address, len, on }
}

#[test]
fn a_software_breakpoint_is_in_memory_but_is_not_seen() {
    let ram = ram();
    let space = space(&ram);
    let mut breakpoints = Breakpoints::default();
    for _ in 0..2 {
        breakpoints.set(Breakpoint::Software(0x1010), &space).unwrap();
        assert_eq!(byte(&ram, 0x1010), INT3);
    }
    assert_eq!(breakpoints.read(0x100f, 3, &space), [0x0f, 0x10, 0x11]);
    assert!(breakpoints.write(0x100f, &[1, 2, 3], &space));
    assert_eq!((byte(&ram, 0x100f), byte(&ram, 0x1010), byte(&ram, 0x1011)), (1, INT3, 3));
    assert_eq!(breakpoints.read(0x100f, 3, &space), [1, 2, 3]);
    assert_eq!(breakpoints.traps(false).patched, [0x1010].into());
    assert!(breakpoints.remove(Breakpoint::Software(0x1010), &space));
    assert_eq!(byte(&ram, 0x1010), 2);
    assert!(!breakpoints.remove(Breakpoint::Software(0x1010), &space));
    assert_eq!(breakpoints.traps(false), Traps::default());
}

#[test]
fn an_instruction_that_is_mapped_twice_is_put_back_once_both_breakpoints_are_gone() {
    let ram = ram();
    let space = space(&ram);
    let mut breakpoints = Breakpoints::default();
    breakpoints.set(Breakpoint::Software(0x20), &space).unwrap();
    breakpoints.set(Breakpoint::Software(ALIAS + 0x20), &space).unwrap();
    assert!(breakpoints.remove(Breakpoint::Software(0x20), &space));
    assert_eq!(byte(&ram, 0x20), INT3);
    assert_eq!(breakpoints.read(ALIAS + 0x20, 1, &space), [0x20]);
    assert!(breakpoints.remove(Breakpoint::Software(ALIAS + 0x20), &space));
    assert_eq!(byte(&ram, 0x20), 0x20);
}

#[test]
fn code_that_the_guest_has_replaced_meanwhile_stays() {
    let ram = ram();
    let space = space(&ram);
    let mut breakpoints = Breakpoints::default();
    breakpoints.set(Breakpoint::Software(0x20), &space).unwrap();
    ram.write_obj(0x90_u8, GuestAddress(0x20)).unwrap();
    assert_eq!(breakpoints.read(0x20, 1, &space), [0x90]);
    breakpoints.clear(&space);
    assert_eq!(byte(&ram, 0x20), 0x90);
}

#[test]
fn a_software_breakpoint_at_an_address_that_is_not_mapped_takes_a_register() {
    let ram = ram();
    let space = space(&ram);
    let mut breakpoints = Breakpoints::default();
    for at in [0x5000, 0x1_0000, 0x5001, 0x5002] {
        breakpoints.set(Breakpoint::Software(at), &space).unwrap();
    }
    let taken = breakpoints.traps(false).registers.map(Option::unwrap);
    assert_eq!(
        taken.map(|watched| (watched.address, watched.len)),
        [(0x5000, 1), (0x1_0000, 1), (0x5001, 1), (0x5002, 1)]
    );
    assert!(taken.iter().all(|watched| watched.access == Access::Execute));
    assert_eq!(breakpoints.set(Breakpoint::Software(0x5003), &space), Err(BreakpointError::NotMapped));
    assert_eq!(breakpoints.set(Breakpoint::Hardware(0x1000), &space), Err(BreakpointError::NoRegister));
    assert_eq!(breakpoints.of_register(2), Some(Breakpoint::Software(0x5001)));
    assert!(breakpoints.remove(Breakpoint::Software(0x5001), &space));
    assert_eq!(breakpoints.of_register(2), None);
    breakpoints.set(Breakpoint::Hardware(0x1000), &space).unwrap();
    assert_eq!(breakpoints.of_register(2), Some(Breakpoint::Hardware(0x1000)));
}

#[test]
fn data_is_watched_in_aligned_pieces() {
    let ram = ram();
    let space = space(&ram);
    let pieces = |address, len, on| {
        let mut breakpoints = Breakpoints::default();
        breakpoints.set(watch(address, len, on), &space)?;
        let registers = breakpoints.traps(false).registers.into_iter().flatten();
        Ok(registers.map(|watched| (watched.address, watched.len, watched.access)).collect::<Vec<_>>())
    };
    let (write, both) = (Access::Write, Access::ReadWrite);
    assert_eq!(pieces(0x1000, 1, Watch::Write), Ok(vec![(0x1000, 1, write)]));
    assert_eq!(pieces(0x1004, 4, Watch::Read), Ok(vec![(0x1004, 4, both)]));
    assert_eq!(pieces(0x1000, 8, Watch::ReadWrite), Ok(vec![(0x1000, 8, both)]));
    let parts = vec![(0x1001, 1, write), (0x1002, 2, write), (0x1004, 4, write)];
    assert_eq!(pieces(0x1001, 7, Watch::Write), Ok(parts));
    assert_eq!(pieces(0x1000, 33, Watch::Write), Err(BreakpointError::NoRegister));
    assert_eq!(pieces(0x1000, u64::MAX, Watch::Write), Err(BreakpointError::NoRegister));
    assert_eq!(pieces(0x1000, 0, Watch::Write), Err(BreakpointError::NoRegister));
    // A watched range that goes past the last address.
    assert_eq!(pieces(u64::MAX, 8, Watch::Write), Ok(vec![(u64::MAX, 1, write)]));
}

#[test]
fn a_new_machine_gets_the_breakpoints_in_registers_first() {
    let old = ram();
    let mut breakpoints = Breakpoints::default();
    breakpoints.set(watch(0x2000, 8, Watch::Write), &space(&old)).unwrap();
    breakpoints.set(Breakpoint::Hardware(0x1000), &space(&old)).unwrap();
    for at in [0x10, 0x20, ALIAS + 0x3040, 0x30] {
        breakpoints.set(Breakpoint::Software(at), &space(&old)).unwrap();
    }
    let new = ram();
    // Nothing is mapped above yet.
    let translate = |address| (address < ALIAS).then_some(address);
    let space = Space { translate: &translate, ram: &new };
    assert_eq!(breakpoints.set_again(&space), [Breakpoint::Software(ALIAS + 0x3040)]);
    let traps = breakpoints.traps(false);
    assert_eq!(traps.patched, [0x30].into());
    assert!(traps.registers.iter().all(Option::is_some));
    assert_eq!((byte(&new, 0x10), byte(&new, 0x30)), (0x10, INT3));
    breakpoints.clear(&space);
    assert_eq!(byte(&new, 0x30), 0x30);
    assert_eq!(breakpoints.traps(false), Traps::default());
}

#[test]
fn memory_ends_where_nothing_is_mapped() {
    let ram = ram();
    let space = space(&ram);
    let mut breakpoints = Breakpoints::default();
    assert_eq!(breakpoints.read(0x2ffe, 8, &space), [0xfe, 0xff]);
    assert!(!breakpoints.write(0x2ffe, &[0; 8], &space));
    assert_eq!(byte(&ram, 0x2ffe), 0xfe);
    // Mapped, but not RAM.
    assert_eq!(breakpoints.read(0x1_0000, 1, &space), Vec::<u8>::new());
    assert!(!breakpoints.write(0x1_0000, &[1], &space));
    // The last address.
    assert_eq!(breakpoints.read(u64::MAX, 2, &space), Vec::<u8>::new());
    assert!(breakpoints.write(0x3000, &[], &space));
}

#[test]
fn a_range_crosses_pages_that_are_apart() {
    let ram = ram();
    // The second page is not adjacent to the first one.
    let translate = |address: u64| match address >> 12 {
        0 => Some(address | 0x2000),
        1 => Some(address & 0xfff),
        _ => None,
    };
    let space = Space { translate: &translate, ram: &ram };
    let mut breakpoints = Breakpoints::default();
    assert!(breakpoints.write(0xffe, &[1, 2, 3, 4], &space));
    assert_eq!([0x2ffe, 0x2fff, 0, 1].map(|at| byte(&ram, at)), [1, 2, 3, 4]);
    assert_eq!(breakpoints.read(0xffd, 6, &space), [0xfd, 1, 2, 3, 4, 2]);
}
