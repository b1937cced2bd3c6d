//! KVM's clock for guests. KVM's documentation, "MSR_KVM_SYSTEM_TIME_NEW".

use core::arch::asm;

use crate::rt;

/// `MSR_KVM_SYSTEM_TIME_NEW`, and its bit that enables the clock.
const SYSTEM_TIME: u32 = 0x4b56_4d01;
const ENABLE: u64 = 1;
/// The address of KVM's `pvclock_vcpu_time_info`.
const INFO: u64 = 0x50_0000;
const TSC_TIMESTAMP: u64 = INFO + 8;
const SYSTEM_NANOSECONDS: u64 = INFO + 16;
const MULTIPLIER: u64 = INFO + 24;
const SHIFT: u64 = INFO + 28;
const FLAGS: u64 = INFO + 29;
/// The host has paused the guest.
const GUEST_STOPPED: u8 = 1 << 1;

/// Enables the clock, if there is one.
pub fn enable() -> bool {
    rt::wrmsr(SYSTEM_TIME, INFO | ENABLE).is_ok()
}

/// Returns whether the guest was notified of a pause since the last call.
pub fn was_paused() -> bool {
    let flags: u8 = rt::read(FLAGS);
    rt::write(FLAGS, flags & !GUEST_STOPPED);
    flags & GUEST_STOPPED != 0
}

pub fn nanoseconds() -> u64 {
    loop {
        let version: u32 = rt::read(INFO);
        let ticks = tsc() - rt::read::<u64>(TSC_TIMESTAMP);
        let shift: i8 = rt::read(SHIFT);
        let ticks = if shift < 0 { ticks >> -shift } else { ticks << shift };
        let passed = (u128::from(ticks) * u128::from(rt::read::<u32>(MULTIPLIER))) >> 32;
        let time = rt::read::<u64>(SYSTEM_NANOSECONDS) + passed as u64;
        // An odd version means that an update is in progress.
        if version & 1 == 0 && version == rt::read(INFO) {
            return time;
        }
    }
}

pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}
