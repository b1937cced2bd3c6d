//! Writes to its memory all the time, and makes devices write to other pages of it. Each pass checks that all words of the last one are
//! there; `.` on the serial port asks for the result, and `q` ends it. If the first letter of its command line is `m`, it uses only memory.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::pci;
use virtio::{Device, WRITE, descriptor};

const CMDLINE: u64 = 0x2_0000;
const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;
const PAGE: u64 = 0x1000;
/// The pages that it writes to itself.
const OWN: u64 = 0x60_0000;
const OWN_PAGES: u64 = 512;
/// The pages that the entropy source writes to, and those that fw_cfg writes to.
const ENTROPY: u64 = 0x90_0000;
const FILES: u64 = 0xa0_0000;
const PAGES: u64 = 128;
/// virtio 1.3, "PCI Device Discovery": an entropy source.
const RNG: u32 = 0x1044_1af4;
/// QEMU's `docs/specs/fw_cfg.rst`: the DMA registers, and a descriptor.
const DMA_HIGH: u16 = 0x514;
const DMA_LOW: u16 = 0x518;
const ACCESS: u64 = 0x5f_0000;
/// Select item 0 and read it.
const SELECT_AND_READ: u32 = 1 << 3 | 1 << 1;

extern "C" fn guest_main() -> u32 {
    let alone = rt::read::<u8>(CMDLINE) == b'm';
    let slot = (0..32_u8).find(|slot| rt::read::<u32>(pci::config(*slot, 0)) == RNG);
    let rng = slot.filter(|_| !alone).map(Device::find);
    if let Some(rng) = &rng {
        rng.start();
    }
    let (mut pass, mut lost, mut asked) = (0_u64, 0_u64, 0_u16);
    print!("ready\n");
    loop {
        for page in 0..OWN_PAGES {
            let at = OWN + page * PAGE + page % 512 * 8;
            if rt::read::<u64>(at) != pass {
                lost += 1;
            }
            rt::write(at, pass + 1);
        }
        pass += 1;
        if let Some(rng) = &rng {
            let at = ENTROPY + pass % PAGES * PAGE;
            rt::write(at, [0_u64; 2]);
            asked = asked.wrapping_add(1);
            rng.push(descriptor(at, 16, WRITE, 0), asked);
            if !rng.wait(asked) {
                return 3;
            }
        }
        if !alone {
            let at = FILES + pass % PAGES * PAGE;
            rt::write(at, 0_u32);
            rt::write(ACCESS, SELECT_AND_READ.swap_bytes());
            rt::write(ACCESS + 4, 4_u32.swap_bytes());
            rt::write(ACCESS + 8, at.swap_bytes());
            rt::outl(DMA_HIGH, 0);
            rt::outl(DMA_LOW, (ACCESS as u32).swap_bytes());
            if rt::read::<u32>(at) != u32::from_le_bytes(*b"QEMU") {
                lost += 1;
            }
        }
        if rt::inb(LINE_STATUS) & 1 != 0 {
            match rt::inb(DATA) {
                b'q' => return 0,
                _ if lost == 0 => print!("same\n"),
                _ => print!("lost ", lost, "\n"),
            }
        }
    }
}
