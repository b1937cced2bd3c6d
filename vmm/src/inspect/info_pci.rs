//! `info pci`, in QEMU's layout.

use std::{
    fmt::{self, Display, Formatter},
    sync::PoisonError,
};

use devices::pci::{Bar, BarSpace, ClassCode, ConfigSpace, Decoded, PciAddress, PciRoot};

/// PCI classes that a machine may have, with QEMU's names.
const CLASSES: [(u16, &str); 12] = [
    (0x0100, "SCSI controller"),
    (0x0101, "IDE controller"),
    (0x0106, "SATA controller"),
    (0x0180, "Storage controller"),
    (0x0200, "Ethernet controller"),
    (0x0280, "Network controller"),
    (0x0300, "VGA controller"),
    (0x0380, "Display controller"),
    (0x0600, "Host bridge"),
    (0x0601, "ISA bridge"),
    (0x0604, "PCI bridge"),
    (0x0c03, "USB controller"),
];

/// The register in the header with the interrupt line that the guest's firmware or kernel chose.
const INTERRUPT_LINE: u16 = 0x3c;

/// The functions of bus 0, shown like QEMU's monitor does.
#[derive(Debug)]
pub(crate) struct InfoPci<'a>(pub(crate) &'a PciRoot);

impl Display for InfoPci<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (address, function) in self.0.iter() {
            let function = function.lock().unwrap_or_else(PoisonError::into_inner);
            show(address, function.config(), f)?;
        }
        Ok(())
    }
}

fn show(address: PciAddress, config: &ConfigSpace, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "  Bus  0, device {:3}, function {}:", address.device(), address.function())?;
    let identity = config.identity();
    let (vendor, device) = (identity.vendor_id, identity.device_id);
    writeln!(f, "    {}: PCI device {vendor:04x}:{device:04x}", class(identity.class))?;
    let (vendor, board) = (identity.subsystem_vendor_id, identity.subsystem_id);
    writeln!(f, "      PCI subsystem {vendor:04x}:{board:04x}")?;
    if let Some(pin) = config.interrupt_pin() {
        let mut line = [0];
        config.read(INTERRUPT_LINE, &mut line);
        writeln!(f, "      IRQ {}, pin {}", line[0], char::from(b'A' + (pin - 1) % 4))?;
    }
    let decoded: Vec<_> = config.decoded().collect();
    for Decoded { bar, .. } in config.bars() {
        let base = decoded.iter().find(|decoded| decoded.bar == bar).map(|decoded| decoded.base);
        writeln!(f, "      BAR{}: {}", bar.index(), region(&bar, base))?;
    }
    writeln!(f, "      id \"\"")
}

fn class(ClassCode { base, sub, .. }: ClassCode) -> String {
    let code = u16::from_be_bytes([base, sub]);
    let known = CLASSES.iter().find(|(of_table, _)| *of_table == code);
    // QEMU shows this number in decimal.
    known.map_or_else(|| format!("Class {code:04}"), |(_, name)| (*name).to_owned())
}

fn region(bar: &Bar, base: Option<u64>) -> String {
    let prefetchable = if bar.is_prefetchable() { " prefetchable" } else { "" };
    let (kind, width) = match bar.space() {
        BarSpace::Io => ("I/O".to_owned(), 6),
        BarSpace::Memory32 => (format!("32 bit{prefetchable} memory"), 10),
        BarSpace::Memory64 => (format!("64 bit{prefetchable} memory"), 10),
    };
    match base {
        Some(base) => format!("{kind} at {base:#0width$x} [{:#0width$x}]", base + (bar.size() - 1)),
        None => format!("{kind} (not mapped)"),
    }
}

#[cfg(test)]
#[path = "info_pci_test.rs"]
mod tests;
