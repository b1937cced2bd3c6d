//! Tests the clocks of the platform. The command line's first letter selects one.
#![no_std]
#![no_main]

mod rt;

const CMDLINE: u64 = 0x2_0000;

extern "C" fn guest_main() -> u32 {
    match rt::read::<u8>(CMDLINE) {
        b't' => pm_timer(),
        b'd' => date(),
        b'i' => interrupts(),
        b'k' => kept(),
        other => return u32::from(other),
    }
    21
}

/// Waits for a tenth of a second by the PM timer, which must not go back or accept a write.
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

mod cmos {
    use crate::rt;

    pub const SECONDS: u8 = 0;
    pub const MINUTES: u8 = 2;
    pub const HOURS: u8 = 4;
    pub const DAY: u8 = 7;
    pub const MONTH: u8 = 8;
    pub const YEAR: u8 = 9;
    pub const CENTURY: u8 = 0x32;
    pub const A: u8 = 0xa;
    pub const B: u8 = 0xb;
    pub const C: u8 = 0xc;
    pub const HOURS_TO_24: u8 = 2;

    pub fn read(index: u8) -> u8 {
        rt::outb(0x70, index);
        rt::inb(0x71)
    }

    pub fn write(index: u8, value: u8) {
        rt::outb(0x70, index);
        rt::outb(0x71, value);
    }

    /// Reads the counters as a driver does: again if an update happened meanwhile.
    pub fn counters<const N: usize>(indexes: [u8; N]) -> [u8; N] {
        loop {
            while read(A) & 0x80 != 0 {}
            let seconds = read(SECONDS);
            let counters = indexes.map(read);
            if read(A) & 0x80 == 0 && read(SECONDS) == seconds {
                return counters;
            }
        }
    }
}

/// Prints the date, and waits until a second has passed.
fn date() {
    let date = cmos::counters([
        cmos::CENTURY,
        cmos::YEAR,
        cmos::MONTH,
        cmos::DAY,
        cmos::HOURS,
        cmos::MINUTES,
        cmos::SECONDS,
    ]);
    // In BCD, so that hexadecimal digits show decimal numbers.
    date.iter().for_each(|byte| print!(byte >> 4, byte & 0xf));
    print!("\n");
    let [before] = cmos::counters([cmos::SECONDS]);
    while cmos::counters([cmos::SECONDS]) == [before] {}
    print!("updated\n");
}

/// Enables one interrupt after another, and polls the slave PIC for it.
fn interrupts() {
    const SLAVE: u16 = 0xa0;
    const POLL: u8 = 0xc;
    const END_OF_INTERRUPT: u8 = 0x20;
    // Initialize it for edges.
    rt::outb(SLAVE, 0x11);
    rt::outb(SLAVE + 1, 0x70);
    rt::outb(SLAVE + 1, 2);
    rt::outb(SLAVE + 1, 1);
    // Returns whether IRQ 8, its input 0, is pending. Polling acknowledges it.
    let is_pending = || {
        rt::outb(SLAVE, POLL);
        let is_pending = rt::inb(SLAVE) & 7 == 0;
        rt::outb(SLAVE, END_OF_INTERRUPT);
        is_pending
    };
    // An alarm each second.
    [1, 3, 5].into_iter().for_each(|alarm| cmos::write(alarm, 0xff));
    for (name, bit) in [("periodic", 0x40), ("alarm", 0x20), ("update", 0x10)] {
        cmos::read(cmos::C);
        while is_pending() {}
        cmos::write(cmos::B, cmos::HOURS_TO_24 | bit);
        // Twice, since the line has to fall when it is acknowledged.
        for _ in 0..2 {
            while !is_pending() {}
            let flags = cmos::read(cmos::C);
            print!(name, if flags & (0x80 | bit) == 0x80 | bit { " " } else { " is not among the flags " });
        }
        cmos::write(cmos::B, cmos::HOURS_TO_24);
    }
    print!("\n");
}

/// Sets the time at the first boot, and resets the machine. The second boot reads the time.
fn kept() {
    const MARK: u8 = 0x40;
    let known = [cmos::CENTURY, cmos::YEAR, cmos::MONTH, cmos::DAY];
    if cmos::read(MARK) == 0 {
        cmos::write(MARK, 0x5a);
        cmos::write(cmos::B, 0x80 | cmos::HOURS_TO_24);
        known.iter().zip([0x19, 0x99, 0x07, 0x16]).for_each(|(index, value)| cmos::write(*index, value));
        cmos::write(cmos::HOURS, 0x08);
        cmos::write(cmos::B, cmos::HOURS_TO_24);
        rt::outb(0x92, 3);
    }
    cmos::counters(known).iter().for_each(|byte| print!(byte >> 4, byte & 0xf));
    print!(" ", cmos::read(MARK), " ", cmos::read(cmos::B), "\n");
}
