//! Does the same work for each byte on the serial port, and prints `done`: sums of some memory, and accesses to registers of devices, each
//! of which is an exit. `q` ends it.
#![no_std]
#![no_main]

mod rt;

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;
/// The PM timer, and a port without a device.
const PM_TIMER: u16 = 0x608;
const NOTHING: u16 = 0x500;
const FROM: u64 = 0x60_0000;
const END: u64 = 0x60_1000;
const EXITS: u32 = 200;

extern "C" fn guest_main() -> u32 {
    print!("ready\n");
    let mut sum = 0_u64;
    loop {
        if rt::inb(LINE_STATUS) & 1 == 0 {
            core::hint::spin_loop();
            continue;
        }
        if rt::inb(DATA) == b'q' {
            return 0;
        }
        // A KVM in software emulates each of these.
        for address in (FROM..END).step_by(8) {
            sum = sum.rotate_left(1) ^ rt::read::<u64>(address);
            rt::write(address, sum);
        }
        for _ in 0..EXITS {
            sum ^= u64::from(rt::inl(PM_TIMER));
            rt::outb(NOTHING, sum as u8);
        }
        print!("done\n");
    }
}
