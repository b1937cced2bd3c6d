//! Uses the host's services as a driver does: interrupts by messages and by a pin, doorbells, memory that moves. Then it resets the
//! machine, does the same again, and powers off.
#![no_std]
#![no_main]

mod messages;
mod rt;
mod virtio;

use rt::pci::{self, Function};
use virtio::{Device, NEXT, WRITE, descriptor};

const DISK: u8 = 1;
const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;

/// virtio 1.3, "Virtio Structure PCI Capabilities": `VIRTIO_PCI_CAP_COMMON_CFG`.
const COMMON: u8 = 1;
/// QEMU's standard VGA.
const VGA: u32 = 0x1111_1234;
/// A byte of CMOS memory that is kept across a reset.
const MARK: u8 = 0x40;
const INTERRUPT_ENABLE: u16 = 0x3f9;

extern "C" fn guest_main() -> u32 {
    print!("disk ", read_by_messages(), "\n");
    move_video_memory();
    // The port's interrupt, as it has nothing to send.
    rt::outb(INTERRUPT_ENABLE, 2);
    rt::outb(INTERRUPT_ENABLE, 0);
    if is_first() {
        print!("again\n");
        rt::outb(0xcf9, 6);
    }
    print!("end\n");
    rt::power_off()
}

/// Reads a sector with an interrupt by a message, and returns the request's status.
fn read_by_messages() -> u8 {
    let disk = Device::find(DISK);
    messages::enable(DISK, 0x50);
    disk.begin(0);
    disk.enable(virtio::QUEUE_SIZE);
    let common = virtio::structure(DISK, COMMON);
    rt::write(common + 0x16, 0_u16);
    rt::write(common + 0x1a, 0_u16);
    disk.end();
    rt::write(HEADER, [0_u64; 2]);
    rt::write(STATUS, 0xff_u8);
    let header = descriptor(HEADER, 16, NEXT, 1);
    let data = descriptor(DATA, 512, NEXT | WRITE, 2);
    disk.submit(&[header, data, descriptor(STATUS, 1, WRITE, 0)], &[0], 1);
    disk.next_used(0);
    let status = rt::read(STATUS);
    disk.reset();
    status
}

/// Unmaps the screen's memory, and maps it again.
fn move_video_memory() {
    let vga = (0..32).map(|device| Function::new(device, 0)).find(|it| rt::read::<u32>(pci::config(*it, 0)) == VGA);
    if let Some(vga) = vga {
        let command: u16 = rt::read(pci::config(vga, 4));
        rt::write(pci::config(vga, 4), command & !2);
        rt::write(pci::config(vga, 4), command | 2);
        let memory = pci::bar(vga, 0);
        rt::write(memory, 0x00ff_ffff_u32);
    }
}

/// Returns whether this is the first start, and records that there was one.
fn is_first() -> bool {
    rt::outb(0x70, MARK);
    let is_first = rt::inb(0x71) == 0;
    rt::outb(0x71, 1);
    is_first
}
