//! Tries the clocks of the platform. The command line's first letter says which.
#![no_std]
#![no_main]

mod rt;

const CMDLINE: u64 = 0x2_0000;

extern "C" fn guest_main() -> u32 {
    match rt::read::<u8>(CMDLINE) {
        b't' => pm_timer(),
        other => return u32::from(other),
    }
    21
}

/// Waits for a tenth of a second by the PM timer, which must not go back, nor take a write.
fn pm_timer() {
    const TIMER: u16 = 0x608;
    let start = rt::inl(TIMER);
    rt::outl(TIMER, 0xdead_beef);
    let mut last = start;
    while last.wrapping_sub(start) < 357_954 {
        let now = rt::inl(TIMER);
        if now.wrapping_sub(last) > 1 << 31 {
            print!("back from ", last, " to ", now, "\n");
        }
        last = now;
    }
    let (high, low) = loop {
        let (high, low) = (rt::inw(TIMER + 2), rt::inw(TIMER));
        if rt::inw(TIMER + 2) == high {
            break (high, low);
        }
    };
    let halves = (u32::from(high) << 16 | u32::from(low)).wrapping_sub(last);
    let agree = halves <= rt::inl(TIMER).wrapping_sub(last);
    print!("0.1 s, and the halves ", if agree { "agree" } else { "differ" }, "\n");
}
