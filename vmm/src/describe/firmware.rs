//! The firmware that the machine would start with, for `--dry-run`.

use std::{fmt, ops::Range, path::PathBuf};

use arch::layout;
use devices::printable::ToPrintable;
use serde::Serialize;

use crate::{
    config::{self, VmConfig},
    firmware::Firmware,
    lossy,
    machine::Machine,
    size::Size,
};

/// Firmware in words.
#[derive(Debug, Serialize)]
pub struct FirmwareDescription {
    kind: String,
    #[serde(serialize_with = "lossy::name")]
    path: PathBuf,
    start: u64,
    size: u64,
    /// The file of UEFI variables.
    #[serde(serialize_with = "lossy::option")]
    vars: Option<PathBuf>,
    /// The devices that it can start from, by their names for `--boot`, in the order of their addresses.
    devices: Vec<String>,
    /// Those that it tries first.
    order: Vec<String>,
    menu: bool,
}

impl FirmwareDescription {
    pub(super) fn new(firmware: &Firmware, config: &VmConfig, machine: &Machine) -> Self {
        let size = firmware.rom().size();
        let bootable = machine.devices.bootable();
        let name = |at| config::boot_name(at, &bootable);
        let boot = config.start.boot();
        // The machine was built with it.
        let order = boot.and_then(|boot| boot.find(&bootable).ok()).unwrap_or_default();
        Self {
            kind: firmware.kind.to_string(),
            path: firmware.path.clone(),
            start: layout::FIRMWARE_END - size,
            size,
            vars: firmware.vars().map(Into::into),
            devices: (0..bootable.len()).map(name).collect(),
            order: order.into_iter().map(name).collect(),
            menu: boot.is_some_and(|boot| boot.menu),
        }
    }

    /// Its addresses.
    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + self.size
    }
}

impl fmt::Display for FirmwareDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, path, size, vars, devices, order, menu, .. } = self;
        writeln!(f, "Firmware\n  {}\n  {kind}, {}", path.printable(), Size(*size))?;
        if let Some(vars) = vars {
            writeln!(f, "  variables: {}", vars.printable())?;
        }
        let names = |names: &[String]| names.join(", ").printable().to_string();
        writeln!(
            f,
            "  starts from: {}",
            if devices.is_empty() { "nothing".to_owned() } else { names(devices) }
        )?;
        if !order.is_empty() {
            writeln!(f, "  in this order: {}", names(order))?;
        }
        if *menu {
            writeln!(f, "  with a menu")?;
        }
        Ok(())
    }
}
