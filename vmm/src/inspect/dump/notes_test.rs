use kvm_bindings::{kvm_regs, kvm_sregs};
use object::{Endianness, elf, read::elf::NoteIterator};

use super::*;

fn registers(rip: u64) -> Registers {
    let general = kvm_regs { rip, r15: 15, rsp: 0x8000, rflags: 2, rax: 0xa, ..Default::default() };
    let mut system = kvm_sregs { cr0: 1, cr2: 2, cr3: 3, cr4: 4, ..Default::default() };
    system.cs =
        kvm_segment { selector: 0x10, limit: 0xfffff, type_: 0xb, s: 1, present: 1, l: 1, g: 1, ..system.cs };
    system.gs.base = 0xffff_8881_0000_0000;
    system.gdt = kvm_dtable { base: 0x5000, limit: 0x7f, ..Default::default() };
    Registers::of(general, system)
}

fn number(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(*bytes[offset..].first_chunk().unwrap())
}

#[test]
fn notes_are_in_qemus_order_and_layout() {
    let notes = notes(&[registers(0x1000), registers(0x2000)], Some(b"OSRELEASE=1\n"));
    let mut found = Vec::new();
    let mut iterator =
        NoteIterator::<elf::FileHeader64<Endianness>>::new(Endianness::Little, 4, &notes).unwrap();
    while let Some(note) = iterator.next().unwrap() {
        let name = String::from_utf8(note.name().to_vec()).unwrap();
        found.push((name, note.n_type(Endianness::Little).0, note.desc().to_vec()));
    }
    let heads: Vec<_> = found.iter().map(|(name, kind, bytes)| (name.as_str(), *kind, bytes.len())).collect();
    let expected =
        [("CORE", 1, 336), ("CORE", 1, 336), ("QEMU", 0, 440), ("QEMU", 0, 440), ("VMCOREINFO", 0, 12)];
    assert_eq!(heads, expected);

    // Offsets of Linux' elf_prstatus, where gdb looks.
    let status = &found[1].2;
    assert_eq!(u32::from_le_bytes(*status[32..].first_chunk().unwrap()), 2, "pid");
    let register = |index: usize| number(status, 112 + 8 * index);
    assert_eq!((register(0), register(10), register(16), register(17)), (15, 0xa, 0x2000, 0x10));
    assert_eq!((register(18), register(19), register(22)), (2, 0x8000, 0xffff_8881_0000_0000));

    // Offsets of QEMUCPUState, where crash looks.
    let state = &found[2].2;
    assert_eq!(number(state, 0), 440 << 32 | 1, "version and size");
    assert_eq!((number(state, 8), number(state, 8 + 15 * 8), number(state, 136)), (0xa, 15, 0x1000));
    assert_eq!(number(state, 152), 0xfffff << 32 | 0x10, "CS's selector and limit");
    assert_eq!(number(state, 160), 0x00a0_9b00, "CS's flags");
    assert_eq!((number(state, 344), number(state, 360)), (0x7f_0000_0000, 0x5000), "GDT");
    let control: Vec<_> = (0..5).map(|index| number(state, 392 + 8 * index)).collect();
    assert_eq!(control, [1, 0, 2, 3, 4]);
    assert_eq!(number(state, 432), 0xffff_8880_0000_0000, "the kernel's GS base");
}
