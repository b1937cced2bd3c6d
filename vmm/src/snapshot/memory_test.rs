use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
};

use devices::pci::{Bar, BarSpace};
use tempfile::TempDir;
use vm_memory::GuestAddress;

use super::*;

const LOW: usize = (3 << 20) + 0x1000;
const HIGH: usize = 2 << 20;
const HIGH_AT: u64 = 4 << 30;
const VRAM: usize = 0x4000;

fn machine() -> GuestRam {
    GuestRam::from_ranges(&[(GuestAddress(0), LOW), (GuestAddress(HIGH_AT), HIGH)]).unwrap()
}

fn filled() -> GuestRam {
    let memory = machine();
    for (address, byte) in [(0x1000, 1_u8), (LOW as u64 - 1, 2), (HIGH_AT + 0x8fff, 3)] {
        memory.write_obj(byte, GuestAddress(address)).unwrap();
    }
    memory
}

fn bytes(memory: &GuestRam) -> Vec<u8> {
    let mut bytes = vec![0; LOW + HIGH];
    memory.read_slice(&mut bytes[..LOW], GuestAddress(0)).unwrap();
    memory.read_slice(&mut bytes[LOW..], GuestAddress(HIGH_AT)).unwrap();
    bytes
}

fn never() -> bool {
    false
}

/// A device's memory, filled with this byte.
fn device(byte: u8) -> (Part, Arc<BarMemory>) {
    let memory = Arc::new(BarMemory::new(&Bar::new(0, BarSpace::Memory32, VRAM as u64).unwrap()).unwrap());
    memory.as_volatile_slice().write_slice(&[byte; VRAM], 0).unwrap();
    (of_devices(vec![("vga".to_owned(), Arc::clone(&memory))]).remove(0), memory)
}

fn saved(folder: &TempDir, memory: &GuestRam) -> MemoryLayout {
    let file = File::create(folder.path().join(MEMORY)).unwrap();
    let parts = [ram(memory), vec![device(7).0]].concat();
    MemoryLayout::write(&parts, &file, &never).unwrap()
}

#[test]
fn memory_comes_back_and_zeros_take_no_room() {
    let (folder, memory) = (TempDir::new().unwrap(), filled());
    let layout = saved(&folder, &memory);
    let text = serde_json::to_string(&layout).unwrap();
    let layout: MemoryLayout = serde_json::from_str(&text).unwrap();
    let file = layout.open(folder.path()).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 8 << 20);
    assert!(file.metadata().unwrap().blocks() * 512 <= 8 * 0x1000, "holes are written");
    layout.check(&file).unwrap();
    let (again, (vga, vram)) = (machine(), device(0));
    layout.read(&ram(&again), &file).unwrap();
    layout.read(&[vga], &file).unwrap();
    assert!(bytes(&again) == bytes(&memory));
    let mut seen = [0; VRAM];
    vram.as_volatile_slice().read_slice(&mut seen, 0).unwrap();
    assert_eq!(seen, [7; VRAM]);
    let place = layout.place_of_ram(HIGH_AT, HIGH as u64).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place + 0x8fff).unwrap();
    assert_eq!(byte, [3]);
    assert_eq!(layout.sizes(), ((LOW + HIGH + VRAM) as u64, 4 * PIECE as u64));
}

#[test]
fn a_changed_byte_is_found() {
    let folder = TempDir::new().unwrap();
    let layout = saved(&folder, &filled());
    let path = folder.path().join(MEMORY);
    let good = fs::read(&path).unwrap();
    for at in [0x1000, 0x2000, LOW - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&path, bad).unwrap();
        let file = layout.open(folder.path()).unwrap();
        for error in [layout.read(&ram(&machine()), &file), layout.check(&file)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("changed or damaged") && error.contains("of ram at "), "{error}");
        }
    }
    fs::write(&path, &good[1..]).unwrap();
    assert!(format!("{:#}", layout.open(folder.path()).unwrap_err()).contains("its length is wrong"));
}

#[test]
fn other_memory_is_refused() {
    let folder = TempDir::new().unwrap();
    let layout = saved(&folder, &filled());
    let file = layout.open(folder.path()).unwrap();
    let other = GuestRam::from_ranges(&[(GuestAddress(0), LOW + 0x1000)]).unwrap();
    let error = layout.read(&ram(&other), &file).unwrap_err().to_string();
    assert_eq!(error, "it has no memory of 0x302000 bytes for ram");
    assert!(layout.place_of_ram(0, 1).is_err());
}

/// Numbers that no nvmm writes must do no harm.
#[test]
fn absurd_layouts_are_refused() {
    let folder = TempDir::new().unwrap();
    saved(&folder, &filled());
    for (offset, len, pieces) in
        [(1, PIECE as u64, 1), (0, u64::MAX, 1), (u64::MAX - 0x1f_ffff, 1 << 40, 0), (0, 1, 7)]
    {
        let region =
            Region { name: RAM.to_owned(), address: Some(0), len, offset, crc32: vec![None; pieces] };
        let error = MemoryLayout { regions: vec![region] }.open(folder.path()).unwrap_err();
        assert!(format!("{error:#}").contains("machine.json gives impossible places for it"), "{error:#}");
    }
}

/// `nvmm snapshot info` prints them before it checks them.
#[test]
fn absurd_sizes_are_shown_without_harm() {
    let region = Region { name: RAM.to_owned(), address: None, len: u64::MAX, offset: 0, crc32: vec![] };
    assert_eq!(MemoryLayout { regions: vec![region.clone(), region] }.sizes().0, u64::MAX);
}

#[test]
fn a_save_can_be_given_up() {
    let folder = TempDir::new().unwrap();
    let file = File::create(folder.path().join(MEMORY)).unwrap();
    let memory = filled();
    let error = MemoryLayout::write(&ram(&memory), &file, &|| true).unwrap_err();
    assert_eq!(error.to_string(), "nvmm was told to end");
}
