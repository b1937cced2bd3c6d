use devices::disk::{Disk, memory::MemoryDisk};

use super::*;
use crate::{
    board::Board,
    config::{BootConfig, BootDevice},
};

#[derive(Debug)]
struct Bootable(BootDevice, Option<MemoryDisk>);

impl OpenDevice for Bootable {
    fn plug(&self, _board: &mut Board) -> anyhow::Result<()> {
        Ok(())
    }

    fn bootable(&self) -> Option<BootDevice> {
        Some(self.0.clone())
    }

    fn image(&self) -> Option<&dyn Disk> {
        self.1.as_ref().map(|disk| disk as &dyn Disk)
    }
}

#[derive(Debug)]
struct Other;

impl OpenDevice for Other {
    fn plug(&self, _board: &mut Board) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A disk with only an EFI system partition.
fn for_uefi() -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[450] = 0xef;
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

fn disk(name: &str, bytes: Vec<u8>) -> Box<dyn OpenDevice> {
    let device = BootDevice { kind: BootKind::Disk, id: Some(name.to_owned()) };
    Box::new(Bootable(device, Some(MemoryDisk::new(name.to_owned(), bytes))))
}

fn net() -> Box<dyn OpenDevice> {
    Box::new(Bootable(BootDevice { kind: BootKind::Net, id: Some("net0".to_owned()) }, None))
}

fn chosen(order: &[&str], devices: &[Box<dyn OpenDevice>]) -> (Kind, String) {
    let order = order.iter().map(|&word| word.to_owned()).collect();
    let boot = BootConfig { order, menu: false };
    choose(&FirmwareConfig { choice: None, vars: None, kernel: None, boot }, devices).unwrap()
}

#[test]
fn the_first_disk_to_start_from_decides_the_firmware() {
    let bios = (Kind::Bios, "disk a: it has no boot sector".to_owned());
    let uefi = (Kind::Uefi, "disk b: it has an EFI system partition, and no BIOS boot code".to_owned());
    let devices: [Box<dyn OpenDevice>; 4] =
        [Box::new(Other), net(), disk("a", vec![0; 1024]), disk("b", for_uefi())];
    assert_eq!(chosen(&[], &devices), bios);
    assert_eq!(chosen(&["disk2"], &devices), uefi);
    assert_eq!(chosen(&["net", "b", "a"], &devices), uefi);
    assert_eq!(chosen(&["net"], &devices), bios);
    assert_eq!(chosen(&["net"], &devices[..2]), (Kind::Bios, "there is no disk".to_owned()));
}

#[test]
fn a_bios_is_found_below_1_mib() {
    let bytes: Vec<u8> = (0..64_u32 << 10).flat_map(u32::to_le_bytes).collect();
    let rom = Arc::new(Rom::new(&bytes).unwrap());
    let firmware =
        Firmware { kind: Kind::Bios, path: "f".into(), rom, variables: None, loaded: None, vga: None };
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
    firmware.load(&memory).unwrap();
    let mut low = vec![0; 128 << 10];
    memory.read_slice(&mut low, GuestAddress(0xe_0000)).unwrap();
    assert_eq!(low, bytes[128 << 10..]);
    assert_eq!(memory.read_obj::<u64>(GuestAddress(0xd_fff8)).unwrap(), 0);
    assert_eq!(memory.read_obj::<u64>(GuestAddress(0x10_0000)).unwrap(), 0);
}

#[test]
fn more_sata_drives_than_seabios_takes_are_warned_of() {
    assert_eq!(too_many(Kind::Bios, 12), None);
    assert_eq!(too_many(Kind::Uefi, 40), None);
    let warning = too_many(Kind::Bios, 13).unwrap();
    assert!(
        warning.starts_with("SeaBIOS has memory for 12 SATA drives or a few more, and there are 13"),
        "{warning}"
    );
}
