use kvm_bindings::kvm_cpuid_entry2;

use super::*;
use crate::cpu::testing;

#[test]
fn entries_come_back_as_they_were() {
    let cpuid = testing::haswell().supported;
    let entries = cpuid.to_entries();
    let flags = |function| {
        let of = entries.iter().filter(move |entry| entry.function == function);
        of.map(|entry| (entry.index, entry.flags)).collect::<Vec<_>>()
    };
    assert_eq!(flags(0x1), [(0, 0)]);
    assert_eq!(flags(0x4), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(Cpuid::from_entries(&entries), cpuid);
}

#[test]
fn first_of_two_entries_counts() {
    let entry = |eax| kvm_cpuid_entry2 { function: 2, eax, ..kvm_cpuid_entry2::default() };
    let cpuid = Cpuid::from_entries(&[entry(1), entry(2)]);
    assert_eq!(cpuid.get(Leaf::new(2)).eax, 1);
}

#[test]
fn functions_are_distinguished() {
    let mut cpuid = testing::haswell().supported;
    assert_eq!(cpuid.function(0xd).count(), 3);
    cpuid.remove(0xd);
    assert_eq!(cpuid.function(0xd).count(), 0);
    assert_eq!(cpuid.function(0x4).count(), 5);
    assert!(cpuid.covers(0xd) && !cpuid.covers(0x1f));
    assert!(cpuid.covers(0x8000_0008) && !cpuid.covers(0x8000_000a));
}

#[test]
fn leaves_are_named_as_in_the_manual() {
    assert_eq!(Leaf::new(1).to_string(), "CPUID.01H");
    assert_eq!(Leaf::sub(0xd, 1).to_string(), "CPUID.(EAX=0DH,ECX=1)");
    assert_eq!(Leaf::new(0x8000_0008).to_string(), "CPUID.80000008H");
}

#[test]
fn file_has_a_line_for_each_leaf() {
    let cpuid = Cpuid(BTreeMap::from([
        (Leaf::new(1), Registers { eax: 0x306c3, ebx: 0, ecx: 0x8000_0000, edx: 1 }),
        (Leaf::sub(4, 11), Registers::default()),
    ]));
    let json = serde_json::to_string_pretty(&cpuid).unwrap();
    assert_eq!(
        json,
        r#"{
  "0x00000001": "eax=0x000306c3 ebx=0x00000000 ecx=0x80000000 edx=0x00000001",
  "0x00000004.11": "eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000"
}"#
    );
    assert_eq!(serde_json::from_str::<Cpuid>(&json).unwrap(), cpuid);
}

#[test]
fn bad_lines_are_quoted() {
    let parse = |json: &str| serde_json::from_str::<Cpuid>(json).unwrap_err().to_string();
    let registers = "eax=0x0 ebx=0x0 ecx=0x0 edx=0x0";
    assert!(parse(r#"{"0x1": "eax=0x1"}"#).contains(r#""eax=0x1" is not of the form"#));
    assert!(parse(&format!(r#"{{"0x1": "{registers} esi=0x0"}}"#)).contains("is not of the form"));
    assert!(parse(&format!(r#"{{"0x100000000": "{registers}"}}"#)).contains("is no CPUID leaf"));
    assert!(parse(&format!(r#"{{"0x4.x": "{registers}"}}"#)).contains("is no CPUID leaf"));
}

#[test]
fn names_in_registers() {
    let registers = |name: &[u8; 12], order: [usize; 3]| {
        let (words, _) = name.as_chunks();
        let [ebx, ecx, edx] = order.map(|place| u32::from_le_bytes(words[place]));
        Registers { eax: 0, ebx, ecx, edx }
    };
    assert_eq!(&registers(b"GenuineIntel", [0, 2, 1]).maker(), b"GenuineIntel");
    assert_eq!(&registers(b"KVMKVMKVM\0\0\0", [0, 1, 2]).signature(), b"KVMKVMKVM\0\0\0");
}
