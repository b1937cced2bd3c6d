use vm_memory::{Bytes, GuestAddress};

use super::{super::test_machine::TestMachine, *};

const CR0_PE: u64 = 1;
const CR0_PG: u64 = 1 << 31;
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const CR4_PAE: u64 = 1 << 5;
const CR4_SMAP: u64 = 1 << 20;
const CODE: u64 = 0x50_0000;
const LINEAR: u64 = 0x40_0000;

fn physical(address: u64, len: u64) -> Option<Physical> {
    Some(Physical { address, len })
}

/// Memory with four tables. The first entry of each is the next table, and the last one has an entry for [`LINEAR`] or a zero.
fn tables(memory: &GuestRam, first: u64, rights: u64, page: u64) {
    for level in 0..3 {
        let (table, next) = (first + level * 0x1000, first + (level + 1) * 0x1000);
        let index = if level == 2 { LINEAR >> 21 } else { 0 };
        memory.write_obj(next | rights, GuestAddress(table + index * 8)).unwrap();
    }
    memory.write_obj(page | rights, GuestAddress(first + 3 * 0x1000)).unwrap();
}

#[test]
fn kvm_is_asked_in_a_nested_guest_and_nowhere_else() {
    const FIRST: u64 = 0x60_0000;
    let Some(machine) = TestMachine::new(1) else { return };
    let fd = machine.vcpus[0].fd();
    let mut sregs = fd.get_sregs().unwrap();
    sregs.cr3 = FIRST;
    fd.set_sregs(&sregs).unwrap();
    tables(&machine.memory, FIRST, PRESENT | WRITABLE, CODE);
    // Memory unknown to KVM, which shows which of the two has followed the tables.
    let other = GuestRam::from_ranges(&[(GuestAddress(FIRST), 0x10_0000)]).unwrap();
    tables(&other, FIRST, PRESENT | WRITABLE, 0x66_0000);

    let own = AddressSpace::read(fd, &other).unwrap();
    assert_eq!(own.translate(LINEAR + 0x10).unwrap(), physical(0x66_0010, 0xff0));
    assert_eq!(own.translate(LINEAR + 0x1000).unwrap(), None);
    let nested = AddressSpace::new(fd, &other, paging(fd, &sregs), true);
    assert_eq!(nested.translate(LINEAR + 0x10).unwrap(), physical(CODE + 0x10, 0xff0));
    assert_eq!(nested.translate(LINEAR + 0x1000).unwrap(), None);
}

#[test]
fn pages_of_a_process_are_found_in_spite_of_smap() {
    const FIRST: u64 = 0x60_0000;
    let Some(machine) = TestMachine::new(1) else { return };
    let fd = machine.vcpus[0].fd();
    // Also read-only.
    tables(&machine.memory, FIRST, PRESENT | USER, CODE);
    let mut sregs = fd.get_sregs().unwrap();
    (sregs.cr3, sregs.cr4) = (FIRST, sregs.cr4 | CR4_SMAP);
    if let Err(error) = fd.set_sregs(&sregs) {
        return println!("skipped: this KVM has no SMAP: {error}");
    }
    let space = AddressSpace::read(fd, &machine.memory).unwrap();
    assert_eq!(space.translate(LINEAR).unwrap(), physical(CODE, 0x1000));
}

#[test]
fn pdptes_are_those_that_kvm_has_loaded() {
    const PDPTES: u64 = 0x60_0000;
    const LARGE: u64 = 1 << 7;
    let Some(machine) = TestMachine::new(1) else { return };
    let fd = machine.vcpus[0].fd();
    let write = |at: u64, entry: u64| machine.memory.write_obj(entry | PRESENT, GuestAddress(at)).unwrap();
    write(PDPTES, 0x60_1000);
    write(0x60_1000, 0x40_0000 | LARGE);
    write(0x60_2000, 0x20_0000 | LARGE);
    // Out of IA-32e mode, and then into PAE paging, in a guest's order.
    let mut sregs = fd.get_sregs().unwrap();
    (sregs.cr0, sregs.efer, sregs.cs.l, sregs.cs.db) = (CR0_PE, 0, 0, 1);
    fd.set_sregs(&sregs).unwrap();
    (sregs.cr0, sregs.cr3, sregs.cr4) = (CR0_PG | CR0_PE, PDPTES, CR4_PAE);
    fd.set_sregs(&sregs).unwrap();
    if !Paging::of(&fd.get_sregs().unwrap()).is_pae() {
        return println!("skipped: this KVM has no PAE paging");
    }

    let found = || AddressSpace::read(fd, &machine.memory).unwrap().translate(0x1234).unwrap();
    let rest = (2 << 20) - 0x1234;
    assert_eq!(found(), physical(0x40_1234, rest));
    let loaded = ioctls::pdptes(fd).ok().flatten();
    write(PDPTES, 0x60_2000);
    // An older KVM does not return them, and on AMD's processors it reads them again at each query.
    let is_kept = loaded.is_some() && ioctls::pdptes(fd).ok().flatten() == loaded;
    println!("PDPTE registers: {loaded:x?}, kept: {is_kept}");
    assert_eq!(found(), physical(if is_kept { 0x40_1234 } else { 0x20_1234 }, rest));
}
