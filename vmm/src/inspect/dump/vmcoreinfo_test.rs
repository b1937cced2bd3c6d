use super::*;

const BASE: u64 = 4 << 30;
const LEN: u64 = 8 << 20;
/// The linear and the physical address of `init_uts_ns`.
const UTS: (u64, u64) = (0xffff_ffff_8240_0100, BASE + 0x40_0100);

/// A kernel whose text at `KERNEL_MAP + 0x200_0000` is at `BASE`.
fn info(release: &str) -> String {
    format!(
        "OSRELEASE={release}\nBUILD-ID=00\nPAGESIZE=4096\nSYMBOL(init_uts_ns)={:x}\nNUMBER(phys_base)={}\n",
        UTS.0,
        BASE - 0x200_0000
    )
}

/// RAM at 0 and at 4 GiB, which contains the kernel's names.
fn memory(release: &str) -> GuestRam {
    let memory = GuestRam::from_ranges(&[
        (GuestAddress(0), 1 << 20),
        (GuestAddress(BASE), usize::try_from(LEN).unwrap()),
    ])
    .unwrap();
    for (place, name) in [(0, "Linux"), (65, "host"), (130, release)] {
        memory.write_slice(name.as_bytes(), GuestAddress(UTS.1 + place)).unwrap();
    }
    memory
}

/// Writes a note at an address.
fn note(memory: &GuestRam, address: u64, name: &[u8], info: &str) {
    let len = u32::try_from(info.len()).unwrap();
    let mut note = [11_u32, len, 0].map(u32::to_le_bytes).as_flattened().to_vec();
    note.extend(name);
    note.push(0);
    note.extend(info.as_bytes());
    memory.write_slice(&note, GuestAddress(address)).unwrap();
}

fn find(memory: &GuestRam) -> Option<String> {
    super::find(memory, &|| false).unwrap().map(|found| String::from_utf8(found).unwrap())
}

#[test]
fn the_note_is_found_at_the_start_of_a_page() {
    let (memory, info) = (memory("6.1.0-1"), info("6.1.0-1"));
    assert_eq!(find(&memory), None);
    note(&memory, BASE + 0x1100, NAME, &info);
    assert_eq!(find(&memory), None, "not at the start of a page");
    note(&memory, BASE + LEN - 0x2000, NAME, &info);
    assert_eq!(find(&memory), Some(info));
}

#[test]
fn a_nested_guests_note_is_not_this_machines() {
    let memory = memory("6.1.0-1");
    let own = info("6.1.0-1");
    // It belongs to another kernel, or is elsewhere.
    note(&memory, BASE, NAME, &info("6.12.0"));
    note(&memory, BASE + 0x1000, NAME, &own.replace("NUMBER(phys_base)=", "NUMBER(phys_base)=-"));
    assert_eq!(find(&memory), None);
    note(&memory, BASE + 0x2000, NAME, &own);
    assert_eq!(find(&memory), Some(own));
}

/// A guest can write anything there.
#[test]
fn other_notes_are_skipped() {
    let memory = memory("6.1.0-1");
    let own = info("6.1.0-1");
    note(&memory, BASE, b"VMCOREINF0\0", &own);
    note(&memory, BASE + 0x1000, NAME, "");
    note(&memory, BASE + 0x2000, NAME, "OSRELEASE=\nSYMBOL(init_uts_ns)=x\nNUMBER(phys_base)=0\n");
    note(&memory, BASE + 0x3000, NAME, &own.replace("6.1.0-1", ""));
    note(&memory, BASE + 0x4000, NAME, &own.replace("SYMBOL", "SYMBO"));
    // Longer than a page, and past the end of memory.
    note(&memory, BASE + 0x5000, NAME, &own);
    memory.write_obj(4097_u32, GuestAddress(BASE + 0x5004)).unwrap();
    note(&memory, BASE + LEN - 0x1000, NAME, &own);
    memory.write_obj(4096_u32, GuestAddress(BASE + LEN - 0x1000 + 4)).unwrap();
    assert_eq!(find(&memory), None);
}

#[test]
fn the_search_can_be_stopped() {
    assert!(matches!(super::find(&memory(""), &|| true), Err(InspectError::Stopped)));
}
