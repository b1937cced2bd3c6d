use gdbstub::arch::Registers as _;

use super::*;

/// The number of the first of the system registers.
const FIRST_SYSTEM: usize = 57;

fn filled() -> Registers {
    let mut bytes: Vec<u8> = (0..CORE_LEN + 8 * SYSTEM).map(|byte| (byte % 251).to_le_bytes()[0]).collect();
    bytes[0x80..0x88].copy_from_slice(&0x1122_3344_5566_7788_u64.to_le_bytes());
    let mut registers = Registers::default();
    registers.gdb_deserialize(&bytes).unwrap();
    assert_eq!(registers.to_bytes(), bytes);
    registers
}

#[test]
fn registers_survive_a_round_trip_to_gdb() {
    let registers = filled();
    assert_eq!(registers.pc(), 0x1122_3344_5566_7788);
    let last = registers.system.efer.to_le_bytes();
    assert!(registers.to_bytes().ends_with(&last));
}

#[test]
fn too_few_or_too_many_bytes_are_refused() {
    let bytes = filled().to_bytes();
    for len in [0, CORE_LEN - 1, CORE_LEN, bytes.len() - 8, bytes.len() - 1] {
        assert_eq!(Registers::default().gdb_deserialize(&bytes[..len]), Err(()), "{len}");
    }
    let more = [bytes, vec![0; 8]].concat();
    assert_eq!(Registers::default().gdb_deserialize(&more), Err(()));
}

/// The description names the registers in the order of their numbers, each with its size.
#[test]
fn the_description_has_the_registers_at_their_places() {
    let description = roxmltree::Document::parse_with_options(
        TARGET,
        roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() },
    )
    .unwrap();
    let registers: Vec<_> = description.descendants().filter(|node| node.has_tag_name("reg")).collect();
    let mut end = 0;
    for (number, node) in registers.iter().enumerate() {
        let (place, len) = Place::from_raw_id(number).unwrap();
        let bits: usize = node.attribute("bitsize").unwrap().parse().unwrap();
        let name = node.attribute("name").unwrap();
        assert_eq!((place.offset, place.len * 8, len), (end, bits, NonZeroUsize::new(bits / 8)), "{name}");
        end += place.len;
    }
    assert_eq!(end, Registers::default().to_bytes().len());
    assert_eq!(Place::from_raw_id(registers.len()), None);
    assert_eq!(registers[FIRST_SYSTEM].attribute("name"), Some("fs_base"));
}

#[test]
fn each_register_is_at_the_place_of_its_number() {
    let mut registers = Registers::default();
    registers.core.regs[7] = 0x7fff_0000;
    registers.core.rip = 0x1000;
    registers.core.segments.gs = 0x23;
    registers.core.fpu.fctrl = 0x37f;
    registers.core.xmm[15] = 15;
    registers.core.mxcsr = 0x1f80;
    registers.system.cr3 = 0xa000;
    let bytes = registers.to_bytes();
    let value = |number| {
        let (Place { offset, len }, _) = Place::from_raw_id(number).unwrap();
        let mut value = [0; 16];
        value[..len].copy_from_slice(&bytes[offset..offset + len]);
        u128::from_le_bytes(value)
    };
    for (number, expected) in
        [(7, 0x7fff_0000), (16, 0x1000), (23, 0x23), (32, 0x37f), (55, 15), (56, 0x1f80), (62, 0xa000)]
    {
        assert_eq!(value(number), expected, "register {number}");
    }
}
