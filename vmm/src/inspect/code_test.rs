use kvm_bindings::kvm_segment;

use super::*;

fn address(rip: u64, base: u64, l: u8, efer: u64) -> u64 {
    let sregs = kvm_sregs { cs: kvm_segment { base, l, ..Default::default() }, efer, ..Default::default() };
    instruction_address(&kvm_regs { rip, ..Default::default() }, &sregs)
}

#[test]
fn the_base_of_cs_counts_except_in_64_bit_mode() {
    assert_eq!(address(0xfff0, 0xffff_0000, 0, 0), 0xffff_fff0, "after reset");
    assert_eq!(address(0x20, 0xffff_fff0, 0, 0), 0x10, "32 bits");
    assert_eq!(address(0x20, 0x1000, 0, EFER_LMA), 0x1020, "compatibility mode");
    assert_eq!(address(0x20, 0x1000, 1, 0), 0x1020, "L means nothing outside IA-32e mode");
    assert_eq!(address(u64::MAX, 0x1000, 1, EFER_LMA), u64::MAX);
}
