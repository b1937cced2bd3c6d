//! The two ways to set up PCI: by nvmm, for a kernel, and by firmware.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use ::devices::{
    chipset::{HostBridge, Lpc},
    pci::{PciRoot, SlotError},
};
use arch::{acpi::AcpiHardware, layout};

/// The PCI functions by which the others are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chipset {
    /// A host bridge without registers: nvmm places the BARs, and ECAM can't be moved.
    Fixed,
    /// Q35's functions: firmware places the BARs and ECAM.
    Q35,
}

impl Chipset {
    /// Makes a bus with only these functions.
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

    /// The windows for BARs below 4 GiB, given the current place of ECAM.
    pub(super) fn windows(self, ecam: Option<&Range<u64>>) -> Vec<Range<u64>> {
        let whole = match self {
            Self::Fixed => layout::PCI_MMIO..layout::ECAM,
            Self::Q35 => layout::FIRMWARE_RAM_END..layout::IOAPIC,
        };
        let ecam =
            ecam.map_or(whole.end..whole.end, |ecam| ecam.start.max(whole.start)..ecam.end.min(whole.end));
        // If ECAM is elsewhere, the window stays whole.
        let ecam = if ecam.is_empty() { whole.end..whole.end } else { ecam };
        let parts = [whole.start..ecam.start, ecam.end..whole.end];
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }
}

/// The hardware for ACPI's tables, which are made when firmware has placed everything.
#[derive(Debug)]
pub(crate) struct Placing {
    pub(super) hardware: AcpiHardware,
    pub(super) pci: Arc<PciRoot>,
    pub(super) ram_end: u64,
}

impl Placing {
    /// The hardware as it is now. The window above RAM is as long as the BARs there need: SeaBIOS and OVMF use different places for it.
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

    /// The hardware with the longest possible description.
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
