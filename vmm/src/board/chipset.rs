//! The two ways in which PCI is set up: by nvmm for a kernel, and by firmware.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use ::devices::{
    chipset::{HostBridge, Lpc},
    pci::{PciRoot, SlotError},
};
use arch::{acpi::AcpiHardware, layout};

/// The functions of PCI that set up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chipset {
    /// A host bridge without registers: nvmm places BARs, and ECAM does not move.
    Fixed,
    /// Those of Q35: firmware places BARs and ECAM.
    Q35,
}

impl Chipset {
    /// A bus with these functions alone.
    pub(super) fn root(self) -> Result<PciRoot, SlotError> {
        match self {
            Self::Fixed => Ok(PciRoot::new()),
            Self::Q35 => {
                let root = PciRoot::with_host_bridge(Arc::new(Mutex::new(HostBridge::new())));
                root.insert(Lpc::ADDRESS, Arc::new(Mutex::new(Lpc::new())))?;
                Ok(root)
            }
        }
    }

    /// The windows for BARs below 4 GiB, while ECAM is there.
    pub(super) fn windows(self, ecam: Option<&Range<u64>>) -> Vec<Range<u64>> {
        let whole = match self {
            Self::Fixed => layout::PCI_MMIO..layout::ECAM,
            Self::Q35 => layout::FIRMWARE_RAM_END..layout::IOAPIC,
        };
        let ecam =
            ecam.map_or(whole.end..whole.end, |ecam| ecam.start.max(whole.start)..ecam.end.min(whole.end));
        // An ECAM elsewhere leaves the window whole.
        let ecam = if ecam.is_empty() { whole.end..whole.end } else { ecam };
        let parts = [whole.start..ecam.start, ecam.end..whole.end];
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }
}

/// The hardware for ACPI's tables, as firmware has placed it by the time that they are made.
#[derive(Debug)]
pub(crate) struct Placing {
    pub(super) hardware: AcpiHardware,
    pub(super) pci: Arc<PciRoot>,
    pub(super) ram_end: u64,
}

impl Placing {
    /// The hardware as it is now. The window above RAM reaches as far as BARs there do: SeaBIOS and OVMF have places of their own for it.
    pub(crate) fn now(&self) -> AcpiHardware {
        let ecam = self.pci.ecam();
        let functions = self.pci.functions();
        let bars = functions.flat_map(|function| function.bars);
        let bars = bars.map(|decoded| decoded.base..decoded.base.saturating_add(decoded.bar.size()));
        let high = bars.filter(|bar| bar.start >= self.ram_end.max(layout::RAM_ABOVE_4G));
        let pci_mmio64 = high.chain(self.hardware.pci_mmio64.clone());
        let pci_mmio64 = pci_mmio64.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
        AcpiHardware {
            pci_windows: Chipset::Q35.windows(ecam.as_ref()),
            ecam,
            pci_mmio64,
            ..self.hardware.clone()
        }
    }

    /// The hardware that takes the most words to describe.
    pub(crate) fn longest(&self) -> AcpiHardware {
        let ecam = layout::ECAM..layout::ECAM + layout::ECAM_LEN;
        AcpiHardware {
            pci_windows: Chipset::Q35.windows(Some(&ecam)),
            ecam: Some(ecam),
            pci_mmio64: Some(layout::RAM_ABOVE_4G..u64::MAX),
            ..self.hardware.clone()
        }
    }
}

#[cfg(test)]
#[path = "chipset_test.rs"]
mod tests;
