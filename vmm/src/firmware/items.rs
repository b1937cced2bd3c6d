//! The items of fw_cfg that firmware asks for.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use arch::{
    acpi,
    boot::MemoryMap,
    memory::GuestRam,
    smbios::{self, EntryPoint, SmbiosHardware, SmbiosValues},
};
use devices::platform::fw_cfg::{Content, FwCfg, Key};

use super::{
    kind::Kind,
    loader::{self, Loaded},
};
use crate::board::Placing;

/// The milliseconds for which a menu waits for a key.
const MENU_WAIT: u16 = 5000;
/// The milliseconds after which SeaBIOS tries again if nothing starts: this value means never.
const NO_RETRY: u32 = u32::MAX;

/// The file that SeaBIOS uses as the option ROM of the function 1234:1111. An option ROM in `vgaroms/` would not get the function's
/// address.
const VGA_ROM: &str = "pci1234,1111.rom";

/// The machine as described to firmware.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    /// The kind of the firmware itself.
    pub(crate) kind: Kind,
    /// The hardware, which firmware has placed by the time it asks.
    pub(crate) placing: Placing,
    /// The processors and the memory.
    pub(crate) smbios: SmbiosHardware<'a>,
    /// The identity.
    pub(crate) values: &'a SmbiosValues,
    /// The memory.
    pub(crate) map: &'a MemoryMap,
    /// The OpenFirmware paths of the devices to start from, in order.
    pub(crate) order: Vec<String>,
    /// The kernel to start instead of a device.
    pub(crate) loaded: Option<&'a Loaded>,
    /// The memory, in which the kernel gets a place.
    pub(crate) memory: &'a GuestRam,
    /// Firmware should offer a menu.
    pub(crate) menu: bool,
    /// The option ROM of the VGA.
    pub(crate) vga_rom: Option<&'a [u8]>,
}

/// Sets the items.
///
/// # Errors
///
/// A table or a file is too large.
pub(crate) fn fill(fw_cfg: &mut FwCfg, machine: Machine<'_>) -> anyhow::Result<()> {
    let Machine { kind, placing, smbios, values, map, mut order, loaded, memory, menu, vga_rom } = machine;
    if let Some(Loaded { kernel, rom }) = loaded {
        kernel.items(memory)?.into_iter().for_each(|(key, content)| fw_cfg.set_content(key, content));
        if let Some(rom) = rom {
            fw_cfg.add_file(loader::FILE, Content::Bytes(rom.clone()))?;
            order.insert(0, loader::PATH.to_owned());
        }
    }
    let vcpus = u16::try_from(smbios.topology.vcpus())?.to_le_bytes();
    // The console is COM1.
    fw_cfg.set(Key::NoGraphic, 1_u16.to_le_bytes());
    fw_cfg.set(Key::NbCpus, vcpus);
    fw_cfg.set(Key::MaxCpus, vcpus);
    fw_cfg.set(Key::BootMenu, u16::from(menu).to_le_bytes());
    let mut add = |name: &str, bytes: Vec<u8>| fw_cfg.add_file(name, Content::Bytes(bytes));
    add("etc/e820", map.file())?;
    add("etc/boot-fail-wait", NO_RETRY.to_le_bytes().to_vec())?;
    add("etc/boot-menu-wait", if menu { MENU_WAIT } else { 0 }.to_le_bytes().to_vec())?;
    if let Some(rom) = vga_rom {
        add(VGA_ROM, rom.to_vec())?;
    }
    if !order.is_empty() {
        add("bootorder", (order.join("\n") + "\0").into_bytes())?;
    }
    let entry = match kind {
        Kind::Bios => EntryPoint::Bits32,
        Kind::Uefi => EntryPoint::Bits64,
    };
    let smbios::Files { anchor, tables } = smbios::files(&smbios, values, entry)?;
    add(smbios::Files::ANCHOR, anchor)?;
    add(smbios::Files::TABLES, tables)?;
    add_acpi(fw_cfg, placing)
}

/// Adds the ACPI tables, which contain the addresses of ECAM and BARs. They are made when the first of their files is read, after firmware
/// has placed these.
fn add_acpi(fw_cfg: &mut FwCfg, placing: Placing) -> anyhow::Result<()> {
    type Part = fn(&acpi::Files) -> &Vec<u8>;
    let files: [(_, Part); 4] = [
        (acpi::Files::RSDP, |files| &files.rsdp),
        (acpi::Files::TABLES, |files| &files.tables),
        (acpi::Files::GENERATION, |files| &files.generation),
        (acpi::Files::LOADER, |files| &files.loader),
    ];
    let longest = acpi::files(&placing.longest());
    // All files come from the same state of the machine.
    let made = Arc::new(OnceLock::new());
    let placing = Arc::new(placing);
    for (name, part) in files {
        let (made, placing) = (Arc::clone(&made), Arc::clone(&placing));
        let make = move || -> io::Result<Vec<u8>> {
            Ok(part(made.get_or_init(|| acpi::files(&placing.now()))).clone())
        };
        let len = u32::try_from(part(&longest).len())?;
        fw_cfg.add_file(name, Content::Made { len, make: Box::new(make) })?;
    }
    Ok(())
}
