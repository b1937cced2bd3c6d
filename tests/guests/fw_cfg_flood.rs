//! Makes fw_cfg fill most of its memory with zeros, again and again.
#![no_std]
#![no_main]

mod rt;

const DMA_LOW: u16 = 0x518;
const DESCRIPTOR: u64 = 0x50_0000;
const FROM: u64 = 0x100_0000;
const END: u64 = 0x4000_0000;
/// The key of an item that doesn't exist.
const KEY: u32 = 0x7fff;
const READ_AND_SELECT: u32 = 2 | 8;

extern "C" fn guest_main() -> u32 {
    for round in 0_u32.. {
        let control = KEY << 16 | READ_AND_SELECT;
        rt::write(DESCRIPTOR, control.to_be());
        rt::write(DESCRIPTOR + 4, ((END - FROM) as u32).to_be());
        rt::write(DESCRIPTOR + 8, FROM.to_be());
        rt::access_port(DMA_LOW, 4, (DESCRIPTOR as u32).to_be(), true);
        if rt::read::<u32>(DESCRIPTOR) != 0 {
            return 7;
        }
        if round == 1 {
            print!("floods\n");
        }
    }
    0
}
