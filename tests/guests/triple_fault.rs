//! An exception without an IDT.
#![no_std]
#![no_main]

mod rt;

extern "C" fn guest_main() -> u32 {
    rt::triple_fault()
}
