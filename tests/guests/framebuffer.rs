//! Draws into the frame buffer from the boot parameters: a row, and for each byte on COM1 a pixel below it; `q` ends it.
#![no_std]
#![no_main]

mod rt;

const COM1: u16 = 0x3f8;
const LINE_STATUS: u16 = 5;

// `struct screen_info`, at the beginning of the zero page.
const SCREEN_INFO: u64 = 0x7000;
const VIDEO_TYPE: u64 = SCREEN_INFO + 0x0f;
const WIDTH: u64 = SCREEN_INFO + 0x12;
const HEIGHT: u64 = SCREEN_INFO + 0x14;
const DEPTH: u64 = SCREEN_INFO + 0x16;
const BASE: u64 = SCREEN_INFO + 0x18;
const PITCH: u64 = SCREEN_INFO + 0x24;

const ROW: u64 = 10;

extern "C" fn guest_main() -> u32 {
    let kind: u8 = rt::read(VIDEO_TYPE);
    let [width, height, depth, pitch] = [WIDTH, HEIGHT, DEPTH, PITCH].map(|at| u64::from(rt::read::<u16>(at)));
    let base = u64::from(rt::read::<u32>(BASE));
    print!(u64::from(kind), " ", width, " ", height, " ", depth, "\n");
    // The VGA's miscellaneous output register, if there is one.
    print!(u64::from(rt::inb(0x3cc)), "\n");
    if kind == 0 {
        return 21;
    }
    let set = |x: u64, y: u64, color: u32| rt::write(base + y * pitch + x * 4, color);
    (0..width).for_each(|x| set(x, ROW, 0x0012_3456));
    print!("drawn\n");
    let mut y = ROW;
    loop {
        if rt::inb(COM1 + LINE_STATUS) & 1 != 0 {
            match rt::inb(COM1) {
                b'q' => return 21,
                byte => {
                    y += 1;
                    set(width - 1, y, u32::from(byte));
                    print!("again\n");
                }
            }
        }
    }
}
