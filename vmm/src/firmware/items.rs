//! The items of fw_cfg: what firmware asks for.

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

/// The milliseconds in which a key brings up the menu.
const MENU_WAIT: u16 = 5000;
/// SeaBIOS tries again after so many milliseconds if nothing starts: never.
const NO_RETRY: u32 = u32::MAX;

/// The file that SeaBIOS takes for the option ROM of the function 1234:1111. One in `vgaroms/` is not told where the function is.
const VGA_ROM: &str = "pci1234,1111.rom";

/// The machine that firmware is told of.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    /// The kind of the firmware itself.
    pub(crate) kind: Kind,
    /// The hardware, and where firmware has put it by the time it asks.
    pub(crate) placing: Placing,
    /// The processors and the memory.
    pub(crate) smbios: SmbiosHardware<'a>,
    /// Its names.
    pub(crate) values: &'a SmbiosValues,
    /// Its memory.
    pub(crate) map: &'a MemoryMap,
    /// The devices to start from, by their OpenFirmware paths.
    pub(crate) order: Vec<String>,
    /// The kernel to start instead.
    pub(crate) loaded: Option<&'a Loaded>,
    /// Its memory, in which the kernel has a place.
    pub(crate) memory: &'a GuestRam,
    /// Firmware offers a menu.
    pub(crate) menu: bool,
    /// The option ROM of the VGA.
    pub(crate) vga_rom: Option<&'a [u8]>,
}

/// Sets the items.
///
/// # Errors
///
/// A table or a file does not fit.
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

/// Adds the ACPI tables, which tell where ECAM and BARs are: they are made once the first of their files is asked for, after firmware has
/// placed these.
fn add_acpi(fw_cfg: &mut FwCfg, placing: Placing) -> anyhow::Result<()> {
    type Part = fn(&acpi::Files) -> &Vec<u8>;
    let files: [(_, Part); 4] = [
        (acpi::Files::RSDP, |files| &files.rsdp),
        (acpi::Files::TABLES, |files| &files.tables),
        (acpi::Files::GENERATION, |files| &files.generation),
        (acpi::Files::LOADER, |files| &files.loader),
    ];
    let longest = acpi::files(&placing.longest());
    // All of them come from one look at the machine.
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
