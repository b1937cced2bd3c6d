//! 10,000 random reads and writes of every size: to the I/O ports, PCI configuration space, the BARs and unused addresses.
#![no_std]
#![no_main]

mod rt;

use rt::{Random, pci};

const ACCESSES: u32 = 10_000;

extern "C" fn guest_main() -> u32 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..ACCESSES {
        let (choice, place, value) = (random.next(), random.next(), random.next());
        let write = choice & 1 != 0;
        if choice & 0b110 == 0 {
            port(place as u16, choice >> 8, value as u32, write);
        } else {
            memory(address(choice >> 16, place), choice >> 8, value, write);
        }
    }
    print!("done ", ACCESSES, "\n");
    0
}

/// Accesses a port, except those whose purpose is to end the machine: debug exit, keyboard controller, PM1a control, reset control.
fn port(port: u16, size: u64, value: u32, write: bool) {
    let len = 1 << (size % 3);
    for ends in [0xf4..0xf8, 0x64..0x65, 0x600..0x606, 0xcf8..0xcfa] {
        if port < ends.end && port + len > ends.start {
            return;
        }
    }
    rt::access_port(port, len, value, write);
}

/// A BAR, configuration space of one of the first devices, or an unused address.
fn address(choice: u64, place: u64) -> u64 {
    let slot = (choice >> 8) as u8 % 4;
    match choice % 4 {
        0 | 1 => {
            // At its current address, but not if that is on RAM or the interrupt controllers.
            let bar = pci::bar(1 + slot % 2, 0);
            let bar = if (0xc000_0000..0xe000_0000).contains(&bar) { bar } else { 0xc000_0000 };
            bar + place % 0x8000
        }
        2 => pci::config(slot, place as u16 % 0x1000),
        _ => 0xc000_0000 + place % 0x2000_0000,
    }
}

fn memory(address: u64, size: u64, value: u64, write: bool) {
    // Not across a page boundary, as the next page may be something else.
    let len = 1 << (size % 4);
    let address = if address % 0x1000 + len > 0x1000 { address & !0xfff } else { address };
    match (len, write) {
        (1, false) => drop(any::<u8>(address)),
        (2, false) => drop(any::<u16>(address)),
        (4, false) => drop(any::<u32>(address)),
        (_, false) => drop(any::<u64>(address)),
        (1, true) => rt::write(address, value as u8),
        (2, true) => unsafe { (address as *mut u16).write_unaligned(value as u16) },
        (4, true) => unsafe { (address as *mut u32).write_unaligned(value as u32) },
        (_, true) => unsafe { (address as *mut u64).write_unaligned(value) },
    }
}

/// Reads a value, even though it isn't used.
fn any<T>(address: u64) -> T {
    core::hint::black_box(unsafe { (address as *const T).read_unaligned() })
}
