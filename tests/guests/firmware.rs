//! Prints MSRs that a PC's firmware would have set up, on the first CPU.
#![no_std]
#![no_main]

mod rt;

/// The microcode revision, the capabilities of machine checks, and MTRRs.
const MSRS: [u32; 6] = [0x8b, 0x179, 0x200, 0x201, 0x259, 0x2ff];

extern "C" fn guest_main() -> u32 {
    rt::catch_faults();
    for index in MSRS {
        match rt::rdmsr(index) {
            Ok(value) => print!(u64::from(index), " ", value, "\n"),
            Err(fault) => print!(u64::from(index), " ", fault.name(), "\n"),
        }
    }
    21
}
