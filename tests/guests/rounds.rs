//! Causes each kind of interrupt in turn, and prints a dot for each round. It waits for each interrupt: if one is lost, the dots stop. An
//! early, repeated or unexpected interrupt is reported in a line that begins with `!`.
#![no_std]
#![no_main]

mod interrupts;
mod kvm_clock;
mod messages;
mod rt;
mod virtio;

use core::arch::x86_64::__cpuid_count;

use interrupts::FIRST;
use virtio::{Device, NEXT, WRITE, descriptor};

const LAPIC: u64 = 0xfee0_0000;
const LVT_TIMER: u64 = LAPIC + 0x320;
const INITIAL_COUNT: u64 = LAPIC + 0x380;
const DIVIDE: u64 = LAPIC + 0x3e0;
const PERIODIC: u32 = 1 << 17;
const BY_DEADLINE: u32 = 2 << 17;
const MASKED: u32 = 1 << 16;
const TSC_DEADLINE: u32 = 0x6e0;

const INTERRUPT_ENABLE: u16 = 0x3f9;
const INTERRUPT_ID: u16 = 0x3fa;
/// The inputs of the IOAPIC.
const PIT_GSI: u32 = 0;
const COM1_GSI: u32 = 4;
const RNG_GSI: u32 = 18;

const TIMER: usize = FIRST;
const PIT: usize = FIRST + 1;
const SERIAL: usize = FIRST + 2;
const RNG: usize = FIRST + 3;
const DISK: usize = FIRST + 4;

const DISK_SLOT: u8 = 1;
const RNG_SLOT: u8 = 2;
/// virtio 1.3, "Virtio Structure PCI Capabilities": `VIRTIO_PCI_CAP_COMMON_CFG`, `VIRTIO_PCI_CAP_ISR_CFG`.
const COMMON: u8 = 1;
const ISR: u8 = 3;
const HEADER: u64 = 0x51_0000;
const DATA: u64 = 0x51_1000;
const STATUS: u64 = 0x51_2000;

/// A timer's period, in nanoseconds, and in the PIT's counts of 1.193182 MHz.
const PERIOD: u64 = 1_000_000;
const PIT_COUNTS: u16 = 1193;
const TICKS: u64 = 4;

extern "C" fn guest_main() -> u32 {
    rt::catch_faults();
    if !kvm_clock::enable() {
        print!("no kvm-clock\n");
        return 1;
    }
    interrupts::count();
    rt::write(DIVIDE, 0xb_u32);
    interrupts::route(COM1_GSI, SERIAL, false);
    interrupts::route(RNG_GSI, RNG, true);
    let (mut disk, mut rng) = (Queue::disk(), Queue::rng());
    // When enabled, the port reports that it has nothing to send.
    rt::outb(INTERRUPT_ENABLE, 2);
    acknowledge();
    let has_deadline = __cpuid_count(1, 0).ecx & 1 << 24 != 0;
    print!("ready\n");
    acknowledge();
    loop {
        one_shot();
        if has_deadline {
            deadline();
        }
        periodic();
        pit();
        rng.fill();
        disk.read();
        rt::outb(rt::COM1, b'.');
        acknowledge();
        if let Some(vector) = interrupts::pending() {
            if !is_of_nobody(vector) {
                complain("nobody has asked for ", vector as u64);
            }
            interrupts::end();
        }
    }
}

/// Waits for the port to report that it has nothing to send.
fn acknowledge() {
    one(SERIAL);
    rt::inb(INTERRUPT_ID);
    interrupts::end();
}

/// Waits for an interrupt, which must have this vector.
fn one(expected: usize) {
    let mut vector = interrupts::halt();
    while is_of_nobody(vector) {
        interrupts::end();
        vector = interrupts::halt();
    }
    if vector != expected {
        complain("it is no ", expected as u64);
        complain("but ", vector as u64);
    }
}

/// Returns whether this is an interrupt of the pin without a cause in the device: a driver must accept that, as others may share the line,
/// and a KVM in software delivers each one twice. Reading the status acknowledges the device's interrupt.
fn is_of_nobody(vector: usize) -> bool {
    vector == RNG && rt::read::<u8>(virtio::structure(RNG_SLOT, ISR)) == 0
}

fn complain(what: &str, number: u64) {
    print!("!", what, number, "\n");
}

fn one_shot() {
    let start = kvm_clock::nanoseconds();
    rt::write(LVT_TIMER, TIMER as u32);
    rt::write(INITIAL_COUNT, PERIOD as u32);
    one(TIMER);
    late_enough("one shot", start, PERIOD);
    interrupts::end();
    // KVM does not know whether the guest of a restored vCPU has received an expired timer's interrupt, and raises it again.
    rt::write(INITIAL_COUNT, 0_u32);
    leave(TIMER);
}

fn deadline() {
    rt::write(LVT_TIMER, BY_DEADLINE | TIMER as u32);
    let deadline = kvm_clock::tsc() + PERIOD;
    let _ = rt::wrmsr(TSC_DEADLINE, deadline);
    one(TIMER);
    let now = kvm_clock::tsc();
    if now < deadline {
        complain("the deadline is too early by ", deadline - now);
    }
    interrupts::end();
}

fn periodic() {
    let start = kvm_clock::nanoseconds();
    rt::write(LVT_TIMER, PERIODIC | TIMER as u32);
    rt::write(INITIAL_COUNT, PERIOD as u32);
    for tick in 1..=TICKS {
        one(TIMER);
        late_enough("tick ", start, tick * PERIOD);
        interrupts::end();
    }
    rt::write(LVT_TIMER, MASKED | TIMER as u32);
    rt::write(INITIAL_COUNT, 0_u32);
    leave(TIMER);
}

/// The PIT as a rate generator. KVM catches up on late ticks, but none is early.
fn pit() {
    rate(PIT_COUNTS);
    interrupts::route(PIT_GSI, PIT, false);
    for _ in 0..TICKS {
        one(PIT);
        interrupts::end();
    }
    interrupts::mask(PIT_GSI);
    // The slowest rate.
    rate(0);
    leave(PIT);
}

fn rate(counts: u16) {
    rt::outb(0x43, 0x34);
    rt::outb(0x40, counts as u8);
    rt::outb(0x40, (counts >> 8) as u8);
}

/// Handles the pending ticks of a timer that is stopped.
fn leave(vector: usize) {
    while let Some(pending) = interrupts::pending() {
        if pending != vector {
            complain("nobody has asked for ", pending as u64);
        }
        interrupts::end();
    }
}

/// Checks that a timer was not early. The clocks involved may differ by one per cent.
fn late_enough(what: &str, start: u64, least: u64) {
    let passed = kvm_clock::nanoseconds() - start;
    if passed < least - least / 100 {
        complain(what, passed);
    }
}

/// A device's queue, with the number of chains made available.
struct Queue {
    device: Device,
    index: u16,
}

impl Queue {
    /// The disk, which interrupts by messages.
    fn disk() -> Self {
        let device = Device::find(DISK_SLOT);
        messages::enable(DISK_SLOT, DISK as u32);
        device.begin(0);
        device.enable(virtio::QUEUE_SIZE);
        let common = virtio::structure(DISK_SLOT, COMMON);
        rt::write(common + 0x16, 0_u16);
        rt::write(common + 0x1a, 0_u16);
        device.end();
        rt::write(HEADER, [0_u64; 2]);
        Self { device, index: 0 }
    }

    /// The source of entropy, which interrupts by a pin.
    fn rng() -> Self {
        let device = Device::find(RNG_SLOT);
        device.start();
        Self { device, index: 0 }
    }

    fn read(&mut self) {
        rt::write(STATUS, 0xff_u8);
        let chain = [
            descriptor(HEADER, 16, NEXT, 1),
            descriptor(DATA, 512, NEXT | WRITE, 2),
            descriptor(STATUS, 1, WRITE, 0),
        ];
        self.device.interrupt_after(self.index);
        self.device.submit_next(&chain, &mut self.index);
        one(DISK);
        if self.device.used() != self.index || rt::read::<u8>(STATUS) != 0 {
            complain("the disk has not read ", self.index.into());
        }
        interrupts::end();
    }

    fn fill(&mut self) {
        self.device.interrupt_after(self.index);
        self.device.submit_next(&[descriptor(DATA, 16, WRITE, 0)], &mut self.index);
        one(RNG);
        if self.device.used() != self.index {
            complain("there is no entropy ", self.index.into());
        }
        interrupts::end();
    }
}
