//! A station 10.0.0.N in a network. With the command line "aN" it answers others (ARP, ICMP echo, and UDP, where it echoes all datagrams).
//! With "qN M" it asks for 10.0.0.M, prints its MAC address and ends. It prints its own address, and the state of its link.
#![no_std]
#![no_main]

mod ethernet;
mod rt;
mod station;
mod virtio;

use station::Station;

const CMDLINE: u64 = 0x2_0000;
/// A port without a device, whose access takes some time.
const UNUSED_PORT: u16 = 0x80;

extern "C" fn guest_main() -> u32 {
    let number = |at: u64| rt::read::<u8>(CMDLINE + at) - b'0';
    let asks = rt::read::<u8>(CMDLINE) == b'q';
    let mut station = Station::start(number(1), asks.then(|| number(3)));
    print!("ready\n");
    let mut link = true;
    for turn in 0_u32.. {
        rt::inb(UNUSED_PORT);
        if turn % 64 == 0 && link != station.link_is_up() {
            link = !link;
            print!(if link { "link up\n" } else { "link down\n" });
        }
        if turn % 4096 == 0 {
            station.ask();
        }
        if station.serve() {
            return 21;
        }
    }
    1
}
