//! Reads random bytes by virtio-rng, twice, and prints them.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::pci;
use virtio::{Device, WRITE, descriptor};

const DATA: u64 = 0x50_0000;
const SLOT: u8 = 1;
/// virtio 1.3, "PCI Device Discovery": an entropy source.
const RNG: u32 = 0x1044_1af4;

extern "C" fn guest_main() -> u32 {
    if rt::read::<u32>(pci::config(SLOT, 0)) != RNG {
        print!("none\n");
        return 0;
    }
    let rng = Device::find(SLOT);
    rng.start();
    for index in [1, 2] {
        rt::write(DATA, [0_u64; 2]);
        rng.push(descriptor(DATA, 16, WRITE, 0), index);
        if !rng.wait(index) {
            return 1;
        }
        print!(rt::read::<u64>(DATA), " ", rt::read::<u64>(DATA + 8), "\n");
    }
    0
}
