//! Moves, disables and overlaps the BARs of two disks, the second of which is the larger one.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::pci;
use virtio::{Device, NEXT, WRITE, descriptor};

const FIRST: u8 = 1;
const SECOND: u8 = 2;
/// Addresses that no BAR has at the start.
const FREE: u32 = 0xd000_0000;
const FREE_TOO: u32 = 0xd100_0000;

const ECAM: u32 = 0xe000_0000;
const RAM: u32 = 0x20_0000;
const IOAPIC: u32 = 0xfec0_0000;
const LAPIC: u32 = 0xfee0_0000;

const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;

/// virtio 1.3, "Virtio Structure PCI Capabilities": `VIRTIO_PCI_CAP_DEVICE_CFG`.
const DEVICE: u8 = 4;
const NOTHING: u64 = u64::MAX;

extern "C" fn guest_main() -> u32 {
    let [home, home_of_second] = [FIRST, SECOND].map(|slot| pci::bar(slot, 0) as u32);
    let [first, second] = [home, home_of_second].map(sectors);
    check("two disks", first != NOTHING && second > first && second != NOTHING);

    decode(FIRST, false);
    check("a bar that is not decoded reads ones", sectors(home) == NOTHING);
    decode(FIRST, true);
    check("decoded again, it answers", sectors(home) == first);
    put(FIRST, FREE);
    check("it moves", sectors(home) == NOTHING && sectors(FREE) == first);

    let old = Device::find(FIRST);
    old.start();
    check("its doorbell is where it is", offer(&old, 1) && { old.ring(); old.wait(1) });
    put(FIRST, FREE_TOO);
    let new = Device::find(FIRST);
    check("a doorbell that has moved is not where it was", offer(&new, 2) && { old.ring(); !new.has_used(2) });
    check("but where it is", { new.ring(); new.wait(2) });
    decode(FIRST, false);
    check("a doorbell that is not decoded rings nothing", offer(&new, 3) && { new.ring(); !new.has_used(3) });
    decode(FIRST, true);
    check("decoded again, it rings", { new.ring(); new.wait(3) });

    put(SECOND, FREE_TOO);
    check("of two at one address, the first answers", sectors(FREE_TOO) == first);
    check("and keeps its doorbell", offer(&new, 4) && { new.ring(); new.wait(4) });
    decode(FIRST, false);
    check("the second, when the first does not decode", sectors(FREE_TOO) == second);
    decode(FIRST, true);
    check("the first again", sectors(FREE_TOO) == first);
    put(FIRST, FREE);
    check("both, when they are apart", sectors(FREE) == first && sectors(FREE_TOO) == second);

    rt::write(u64::from(RAM) + 0x2000, 0x0123_4567_89ab_cdef_u64);
    for (name, there, expected) in [
        ("RAM", RAM, rt::read::<u32>(u64::from(RAM))),
        ("the IOAPIC", IOAPIC, rt::read(u64::from(IOAPIC))),
        ("the local APIC", LAPIC, rt::read(u64::from(LAPIC) + 0x30)),
        ("configuration space", ECAM, rt::read(u64::from(ECAM))),
    ] {
        let offset = if there == LAPIC { 0x30 } else { 0 };
        put(FIRST, there);
        print!("over ");
        check(name, rt::read::<u32>(u64::from(there) + offset) == expected);
        put(FIRST, FREE);
        print!("back from ");
        check(name, sectors(FREE) == first);
    }
    check("RAM has kept its bytes", rt::read::<u64>(u64::from(RAM) + 0x2000) == 0x0123_4567_89ab_cdef);
    check("the doorbell works to the end", {
        let disk = Device::find(FIRST);
        offer(&disk, 5) && { disk.ring(); disk.wait(5) }
    });
    0
}

fn check(name: &str, good: bool) {
    print!(name, if good { ": good\n" } else { ": BAD\n" });
}

/// Writes to BAR 0 while it decodes.
fn put(slot: u8, at: u32) {
    rt::write(pci::config(slot, 0x10), at);
}

/// Switches memory space on or off.
fn decode(slot: u8, on: bool) {
    rt::write(pci::config(slot, 4), if on { 2_u16 } else { 0 });
}

/// The size of the disk whose BAR is at this address.
fn sectors(bar: u32) -> u64 {
    let structure = virtio::structure(FIRST, DEVICE) - pci::bar(FIRST, 0);
    rt::read(u64::from(bar) + structure)
}

/// Offers a read as the one before `index`, without notifying the device.
fn offer(disk: &Device, index: u16) -> bool {
    // After an answer, a device checks for more before it sleeps; until then it needs no notification.
    for _ in 0..500 {
        rt::inb(0x80);
    }
    rt::write(HEADER, [0_u64; 2]);
    let header = descriptor(HEADER, 16, NEXT, 1);
    let data = descriptor(DATA, 512, NEXT | WRITE, 2);
    disk.offer(&[header, data, descriptor(STATUS, 1, WRITE, 0)], &[0; 8], index);
    true
}
