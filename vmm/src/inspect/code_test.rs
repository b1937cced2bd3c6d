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

#[test]
fn code_is_read_from_memory_and_from_firmware() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 0x2000)]).unwrap();
    memory.write_slice(&[1, 2, 3], GuestAddress(0x1ffd)).unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
    let rom = Rom::new(&bytes).unwrap();
    let code = |address, rom| {
        let mut code = vec![0; LONGEST];
        let len = read(address, &mut code, &memory, rom);
        code[..len].to_vec()
    };
    assert_eq!(code(0x1ffd, None), [1, 2, 3]);
    assert_eq!(code(0xffff_0001, Some(&rom)), bytes[1..16]);
    assert_eq!(code(0xffff_fff0, Some(&rom)), bytes[0xfff0..0xffff], "the reset vector");
    assert_eq!(code(0xffff_fffe, Some(&rom)), [0xfe, 0xff]);
    assert!(code(0xfffe_ffff, Some(&rom)).is_empty(), "below it");
    assert!(code(0x1_0000_0000, Some(&rom)).is_empty(), "above it");
    assert!(code(0xffff_0001, None).is_empty());
}
