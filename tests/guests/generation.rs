//! Prints the address of its memory for the VM generation ID. For each byte on the serial port it prints the ID, and whether the interrupt
//! for a new one has arrived since; `q` ends it.
#![no_std]
#![no_main]

mod edges;
mod rt;

const REGISTER: u16 = 0x520;
const GSI: u32 = 5;
const ID: u64 = 0x50_0000;
/// The interrupt's vector in the local APIC's interrupt request register.
const REQUESTED: u64 = 0xfee0_0210;
const VECTOR: u32 = 1 << (0x20 + GSI - 0x20);

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

extern "C" fn guest_main() -> u32 {
    edges::listen(&[GSI]);
    rt::outl(REGISTER, ID as u32);
    if rt::inl(REGISTER) != ID as u32 {
        return 1;
    }
    print!("ready\n");
    loop {
        while rt::inb(LINE_STATUS) & 1 == 0 {}
        if rt::inb(DATA) == b'q' {
            return 0;
        }
        let is_told = rt::read::<u32>(REQUESTED) & VECTOR != 0;
        print!(rt::read::<u64>(ID), " ", rt::read::<u64>(ID + 8), if is_told { " told\n" } else { " quiet\n" });
        if is_told {
            edges::sleep();
        }
    }
}
