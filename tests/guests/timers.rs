//! Watches its clocks all the time. For each byte on the serial port it makes the timers of the PIT and of the local APIC expire, and
//! prints the nanoseconds of its kvm-clock, the ticks of the PM timer, and the number of times that a clock has gone back; `q` ends it.
#![no_std]
#![no_main]

mod kvm_clock;
mod rt;

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;
const PM_TIMER: u16 = 0x608;

const LAPIC: u64 = 0xfee0_0000;
const SPURIOUS: u64 = LAPIC + 0xf0;
const LVT_TIMER: u64 = LAPIC + 0x320;
const INITIAL_COUNT: u64 = LAPIC + 0x380;
const CURRENT_COUNT: u64 = LAPIC + 0x390;
const MASKED: u32 = 1 << 16;

/// The PIT's channel 2, whose output can be read, and its gate.
const CHANNEL_2: u16 = 0x42;
const MODE: u16 = 0x43;
const CONTROL: u16 = 0x61;
const GATE: u8 = 1;
const OUTPUT: u8 = 1 << 5;

extern "C" fn guest_main() -> u32 {
    rt::catch_faults();
    if !kvm_clock::enable() {
        print!("no kvm-clock\n");
        return 1;
    }
    rt::write(SPURIOUS, 0x1ff_u32);
    let mut clocks = Clocks { tsc: kvm_clock::tsc(), kvm: kvm_clock::nanoseconds(), pm: rt::inl(PM_TIMER), back: 0 };
    print!("ready\n");
    loop {
        clocks.watch();
        if rt::inb(LINE_STATUS) & 1 == 0 {
            continue;
        }
        if rt::inb(DATA) == b'q' {
            return 0;
        }
        run_out();
        clocks.watch();
        print!(clocks.kvm, " ", clocks.pm, " ", clocks.back, "\n");
    }
}

/// The last values of the clocks, and the number of times that one was earlier than before.
struct Clocks {
    tsc: u64,
    kvm: u64,
    pm: u32,
    back: u32,
}

impl Clocks {
    fn watch(&mut self) {
        let (tsc, kvm, pm) = (kvm_clock::tsc(), kvm_clock::nanoseconds(), rt::inl(PM_TIMER));
        self.back += u32::from(tsc < self.tsc) + u32::from(kvm < self.kvm);
        self.back += u32::from(pm.wrapping_sub(self.pm) > 1 << 31);
        (self.tsc, self.kvm, self.pm) = (tsc, kvm, pm);
    }
}

/// Starts both timers, and waits for them.
fn run_out() {
    // One shot: SDM 3A, "APIC Timer". 82C54: channel 2, mode 0, whose output is low until it has counted down.
    rt::write(LVT_TIMER, MASKED | 0x50);
    rt::write(INITIAL_COUNT, 100_000_u32);
    rt::outb(CONTROL, rt::inb(CONTROL) | GATE);
    rt::outb(MODE, 0xb0);
    rt::outb(CHANNEL_2, 0);
    rt::outb(CHANNEL_2, 4);
    while rt::read::<u32>(CURRENT_COUNT) != 0 {}
    while rt::inb(CONTROL) & OUTPUT == 0 {}
}
