//! A description of the firmware, for `--dry-run`.

use std::{fmt, ops::Range, path::PathBuf};

use arch::layout;
use devices::printable::ToPrintable;
use serde::Serialize;

use crate::{
    config::{self, VmConfig},
    firmware::{Firmware, Kind, Order},
    lossy,
    machine::Machine,
    size::Size,
};

/// The description of the firmware.
#[derive(Debug, Serialize)]
pub struct FirmwareDescription {
    kind: String,
    #[serde(serialize_with = "lossy::name")]
    path: PathBuf,
    start: u64,
    size: u64,
    /// The addresses of the flash chip with UEFI variables that are kept in a file.
    #[serde(skip)]
    flash: Option<Range<u64>>,
    /// The file of UEFI variables.
    #[serde(serialize_with = "lossy::option")]
    vars: Option<PathBuf>,
    /// The devices from which it tries to start, in order, by their names for `--boot`.
    devices: Vec<String>,
    /// The devices that can be chosen, if there is a menu.
    menu: Option<Vec<String>>,
}

impl FirmwareDescription {
    pub(super) fn new(firmware: &Firmware, config: &VmConfig, machine: &Machine) -> Self {
        let size = firmware.rom().size();
        let bootable = machine.devices.bootable();
        let names = |places: &[usize]| -> Vec<_> {
            places.iter().map(|&at| config::boot_name(at, &bootable)).collect()
        };
        let boot = config.start.boot();
        // It can't fail: the machine was built with it.
        let order = boot.and_then(|boot| Order::of(firmware.kind, boot, &bootable).ok());
        let Order { told, tried } = order.unwrap_or_default();
        let choices = if firmware.kind == Kind::Bios { &told } else { &tried };
        Self {
            kind: firmware.kind.to_string(),
            path: firmware.path.clone(),
            start: layout::FIRMWARE_END - size,
            size,
            flash: firmware.flash_range(),
            vars: firmware.vars().map(Into::into),
            devices: names(&tried),
            menu: boot.filter(|boot| boot.menu).map(|_| names(choices)),
        }
    }

    /// The addresses of its chips, with their names.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (&'static str, Range<u64>)> {
        let flash = self.flash.clone().map(|range| ("UEFI variables (flash)", range));
        [("firmware (read-only)", self.start..self.start + self.size)].into_iter().chain(flash)
    }
}

impl fmt::Display for FirmwareDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, path, size, vars, devices, menu, .. } = self;
        writeln!(f, "Firmware\n  {}\n  {kind}, {}", path.printable(), Size(*size))?;
        if let Some(vars) = vars {
            writeln!(f, "  variables: {}", vars.printable())?;
        }
        let names = |names: &[String]| match names {
            [] => "nothing".to_owned(),
            names => names.join(", ").printable().to_string(),
        };
        writeln!(f, "  starts from: {}", names(devices))?;
        if let Some(choices) = menu {
            writeln!(f, "  with a menu of: {}", names(choices))?;
        }
        Ok(())
    }
}
