//! A driver from before virtio 1.0, of a disk: it reads before it sets DRIVER_OK, as Linux did until 3.18, places its queue at an
//! impossible address, and changes settings too late. Then it writes to 200 sectors.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::{inb, inl, inw, outl, outw, pci};
use virtio::{Descriptor, Device, NEEDS_RESET, NEXT, WRITE, descriptor};

const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
/// virtio 1.3, "Block Device", "Feature bits".
const BLK_FLUSH: u32 = 1 << 9;

extern "C" fn guest_main() -> u32 {
    let ports = (pci::bar(1, 0) & 0xfffc) as u16;
    print!("device ", rt::read::<u32>(pci::config(1, 0)), ", subsystem ", rt::read::<u32>(pci::config(1, 0x2c)));
    print!(", revision ", rt::read::<u8>(pci::config(1, 8)), ", ", inl(ports + 20), " sectors\n");
    let mut disk = Disk { device: Device::find(1), index: 0 };

    disk.device.begin(BLK_FLUSH);
    disk.device.enable(0);
    print!("early ", disk.request(IN, 0));
    print!(" ", rt::read::<u8>(DATA), "\n");
    disk.device.end();

    // A queue in use is not changed.
    outl(ports + 4, 0);
    outl(ports + 8, 0xffff_ffff);
    print!("address ", inl(ports + 8), ", size ", inw(ports + 12), ", status ", inb(ports + 18), "\n");
    for sector in 0..200 {
        (0..512).for_each(|at| rt::write(DATA + at, sector as u8));
        if disk.request(OUT, sector) != 0 {
            return 1;
        }
    }
    print!("flush ", disk.request(FLUSH, 0), "\n");
    print!("pending ", inb(ports + 19));
    print!(" ", inb(ports + 19), "\n");

    for page in [0x1000, 0x10_0000, 0xffff_ffff] {
        disk.device.begin(0);
        outl(ports + 8, page);
        outw(ports + 16, 0);
        disk.device.end();
        let needs_reset = disk.device.status() & NEEDS_RESET != 0;
        print!("page ", page, ": status ", inb(ports + 18), if needs_reset { ", needs reset\n" } else { "\n" });
    }
    disk.index = 0;
    disk.device.start_with(BLK_FLUSH);
    print!("again ", disk.request(IN, 7), " ", rt::read::<u8>(DATA), "\n");
    21
}

struct Disk {
    device: Device,
    index: u16,
}

impl Disk {
    /// The status of a request; 0xff if it was not answered.
    fn request(&mut self, kind: u32, sector: u64) -> u8 {
        rt::write(HEADER, u64::from(kind));
        rt::write(HEADER + 8, sector);
        rt::write(STATUS, 0xff_u8);
        let header = descriptor(HEADER, 16, NEXT, 1);
        let data = descriptor(DATA, 512, if kind == IN { NEXT | WRITE } else { NEXT }, 2);
        let status = descriptor(STATUS, 1, WRITE, 0);
        let (without_data, all) = ([header, status], [header, data, status]);
        let chain: &[Descriptor] = if kind == FLUSH { &without_data } else { &all };
        self.device.submit_next(chain, &mut self.index);
        self.device.wait(self.index);
        rt::read(STATUS)
    }
}
