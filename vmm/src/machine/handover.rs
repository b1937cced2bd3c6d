//! Passes facts about the machine to the software that starts in it.

use std::sync::{Mutex, PoisonError};

use arch::{
    acpi,
    boot::{self, BootInfo, MemoryMap, Protocol},
    memory::GuestRam,
    smbios::{self, SmbiosHardware, SmbiosValues},
};
use devices::{
    platform::fw_cfg::{Content, FileError, FwCfg},
    printable::ToPrintable,
};

use crate::{
    board::Devices,
    config::{self, BootConfig, FwCfgFile},
    firmware::{self, Firmware, Order},
    kernel::Kernel,
};

/// The facts about a machine, after its devices are plugged in.
pub(super) struct Handover<'a> {
    pub(super) memory: &'a GuestRam,
    pub(super) map: &'a MemoryMap,
    pub(super) smbios: SmbiosHardware<'a>,
    pub(super) values: &'a SmbiosValues,
    pub(super) devices: &'a Devices,
    pub(super) apic_ids: Vec<u32>,
}

/// Adds the user's files to fw_cfg.
pub(super) fn add_files(fw_cfg: &Mutex<FwCfg>, files: &[FwCfgFile]) -> Result<(), FileError> {
    let mut fw_cfg = fw_cfg.lock().unwrap_or_else(PoisonError::into_inner);
    files.iter().try_for_each(|file| fw_cfg.add_file(&file.name, Content::Bytes(file.bytes.clone())))
}

impl Handover<'_> {
    /// Writes everything that a kernel finds in memory: tables, and the structures of its boot protocol.
    pub(super) fn tell_kernel(self, kernel: &Kernel) -> anyhow::Result<()> {
        let Self { memory, map, smbios, values, devices, apic_ids } = self;
        let rsdp = acpi::write(memory, &devices.acpi(apic_ids))?;
        smbios::write(memory, &smbios, values)?;
        let framebuffer = devices.screen().and_then(|screen| screen.framebuffer);
        let info = BootInfo { map, initrd: kernel.initramfs.clone(), rsdp, framebuffer };
        match kernel.entry.protocol {
            Protocol::Linux64 => boot::linux64(memory, kernel.header, &info)?,
            Protocol::Pvh => boot::pvh(memory, &info)?,
        }
        Ok(kernel.entry.write_tables(memory)?)
    }

    /// Gives fw_cfg everything that firmware asks for.
    pub(super) fn tell_firmware(
        self,
        firmware: &Firmware,
        fw_cfg: &Mutex<FwCfg>,
        boot: &BootConfig,
    ) -> anyhow::Result<()> {
        let Self { memory, map, smbios, values, devices, apic_ids } = self;
        let (bootable, loaded) = (devices.bootable(), firmware.loaded());
        let order = Order::of(firmware.kind, boot, &bootable)?;
        let names: Vec<_> = order.tried.iter().map(|&at| config::boot_name(at, &bootable)).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        match loaded {
            Some(loaded) => {
                log::info!("firmware loads {}, and can start from {names}", loaded.path().printable());
            }
            None => log::info!("firmware can start from {names}"),
        }
        let machine = firmware::Machine {
            kind: firmware.kind,
            placing: devices.placing(apic_ids, map.end()),
            smbios,
            values,
            map,
            order: devices.boot_paths(&order.told),
            loaded,
            memory,
            menu: boot.menu,
            vga_rom: firmware.vga_rom(),
        };
        firmware::fill(&mut fw_cfg.lock().unwrap_or_else(PoisonError::into_inner), machine)
    }
}
