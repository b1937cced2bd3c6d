use std::fs;

use serde_json::json;
use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress};

use super::{
    super::test_machine::{RAM, TestMachine},
    *,
};

fn never() -> bool {
    false
}

/// Pages that are adjacent in linear addresses, but not in physical ones.
fn machine() -> Option<TestMachine> {
    let machine = TestMachine::new(1)?;
    machine.map_pages(&[(0x40_0000, 0x50_0000), (0x40_1000, 0x50_1000), (0x40_2000, 0x20_0000)]);
    for (address, byte) in [(0x50_0000, 1), (0x50_1000, 2), (0x20_0000, 3)] {
        machine.memory.write_slice(&[byte; 0x1000], GuestAddress(address)).unwrap();
    }
    Some(machine)
}

fn save_virtual(machine: &TestMachine, arguments: serde_json::Value) -> Result<(), InspectError> {
    let save: SaveVirtual = serde_json::from_value(arguments).unwrap();
    save.save(&machine.halted(), &Taken::default(), &never)
}

#[test]
fn linear_addresses_go_by_the_guests_page_tables() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("memory");
    let expected = [vec![1; 0xff8], vec![2; 0x1000], vec![3; 0x10]].concat();
    save_virtual(
        &machine,
        json!({ "val": 0x40_0008, "size": expected.len(), "filename": path, "cpu-index": 0 }),
    )
    .unwrap();
    assert!(fs::read(&path).unwrap() == expected);
    save_virtual(&machine, json!({ "val": 0x40_0000, "size": 0, "filename": path })).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn a_page_that_is_not_mapped_is_named_and_nothing_is_written() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("memory");
    fs::write(&path, "before").unwrap();
    let refused = |value: serde_json::Value| {
        let mut arguments = value;
        arguments["filename"] = json!(path);
        let error = save_virtual(&machine, arguments).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        error.to_string()
    };
    assert_eq!(refused(json!({ "val": 0x40_2ff0, "size": 0x20 })), "vCPU 0 has nothing mapped at 0x403000");
    // QEMU's clients give the kernel's addresses in this form.
    let minus = json!({ "val": -0x1000, "size": 1 });
    assert_eq!(refused(minus), "vCPU 0 has nothing mapped at 0xfffffffffffff000");
    assert_eq!(
        refused(json!({ "val": u64::MAX, "size": 2 })),
        "2 bytes from 0xffffffffffffffff on go past the last address"
    );
    // Mapped by the tables at entry, but not RAM.
    let beyond = format!("there is no RAM at the physical address {RAM:#x}; RAM is 0x0 to {:#x}", RAM - 1);
    assert_eq!(refused(json!({ "val": RAM - 8, "size": 16 })), beyond);
    assert_eq!(
        refused(json!({ "val": 0, "size": 1, "cpu-index": 1 })),
        "there is no vCPU 1: there are 1, numbered from 0"
    );
}

#[test]
fn physical_addresses_are_ram_or_refused() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("memory");
    let save = |val: u64, size: u64| {
        let save: SavePhysical =
            serde_json::from_value(json!({ "val": val, "size": size, "filename": path })).unwrap();
        save.save(&machine.halted(), &Taken::default(), &never)
    };
    save(0x50_0fff, 2).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [1, 2]);
    save(0, RAM).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), RAM);
    let error = save(RAM - 1, 2).unwrap_err().to_string();
    assert!(error.starts_with("there is no RAM at the physical address 0x1000000;"), "{error}");
    assert!(matches!(save(u64::MAX, 2), Err(InspectError::Wraps { .. })));
    assert_eq!(fs::metadata(&path).unwrap().len(), RAM, "nothing was written");
}
