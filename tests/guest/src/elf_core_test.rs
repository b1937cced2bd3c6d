use std::env::temp_dir;
use std::fs;
use std::process;

use super::*;

/// The offset of the file's one page of memory, and its linear address.
const OFFSET: u64 = 0x400;
const ADDRESS: u64 = 0x40_1000;

fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut bytes = [len(name), len(description), kind.to_le_bytes()].concat();
    for part in [name, description] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn segment(kind: u32, offset: u64, address: u64, len: usize) -> Vec<u8> {
    let len = u64::try_from(len).unwrap();
    let words = [offset, address, 0, len, len, 4].map(u64::to_le_bytes).concat();
    [&kind.to_le_bytes()[..], &0_u32.to_le_bytes(), &words].concat()
}

/// A file of this ELF type, with the notes of two vCPUs, vmcoreinfo, and a few bytes of memory.
fn file(kind: u16) -> Vec<u8> {
    let status = |rip: u64| {
        let mut status = vec![0xaa; 336];
        status[RIP..RIP + 8].copy_from_slice(&rip.to_le_bytes());
        note(b"CORE\0", 1, &status[..])
    };
    let notes = [status(0x40_1002), status(u64::MAX), note(b"QEMU\0", 0, &[7; 9])].concat();
    let notes = [notes, note(b"VMCOREINFO\0", 0, b"OSRELEASE=6.1.0\nPAGESIZE=4096\n")].concat();
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for (value, len) in [(kind.into(), 2), (62, 2), (1, 4), (0, 8), (64, 8), (0, 8), (0, 4), (64, 2)] {
        file.extend(&u64::to_le_bytes(value)[..len]);
    }
    for value in [56_u16, 2, 64, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    file.extend(segment(4, 64 + 2 * 56, 0, notes.len()));
    file.extend(segment(1, OFFSET, ADDRESS, 8));
    file.extend(notes);
    assert!(file.len() <= usize::try_from(OFFSET).unwrap());
    file.resize(usize::try_from(OFFSET).unwrap(), 0);
    file.extend(b"\x90\x90\xeb\xfememo");
    file
}

fn open(name: &str, bytes: &[u8]) -> anyhow::Result<ElfCore> {
    let path = temp_dir().join(format!("elf-core-{name}-{}", process::id()));
    fs::write(&path, bytes).unwrap();
    let core = ElfCore::open(&path);
    fs::remove_file(&path).unwrap();
    core
}

#[test]
fn a_core_has_registers_vmcoreinfo_and_memory() {
    let core = open("whole", &file(4)).unwrap();
    let notes = Notes {
        rips: vec![0x40_1002, u64::MAX],
        vmcoreinfo: Some("OSRELEASE=6.1.0\nPAGESIZE=4096\n".to_owned()),
    };
    assert_eq!(core.notes().unwrap(), notes);
    assert_eq!(core.memory(ADDRESS + 2, 2).unwrap(), b"\xeb\xfe");
    assert_eq!(core.memory(ADDRESS + 2, 7).unwrap_err().to_string(), "no segment has 0x401002");
    assert_eq!(core.memory(ADDRESS - 1, 2).unwrap_err().to_string(), "no segment has 0x400fff");
}

#[test]
fn files_other_than_cores_are_refused() {
    assert!(open("executable", &file(2)).unwrap_err().to_string().contains("is no core"));
    assert!(open("empty", b"").is_err());
    let whole = file(4);
    let core = open("cut", &whole[..whole.len() - 1]).unwrap();
    let error = core.memory(ADDRESS, 8).unwrap_err().to_string();
    assert_eq!(error, "the file ends before what is at 0x401000");
}
