//! PCI Firmware Specification 3.3, "MCFG Table Description".

use std::ops::Range;

use acpi_tables::mcfg::MCFG;

use super::oem::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::layout;

/// The MCFG of a machine whose buses from 0 on are configured at `ecam`.
pub(super) fn mcfg(ecam: &Range<u64>) -> MCFG {
    let buses = (ecam.end - ecam.start) / layout::ECAM_LEN;
    let last_bus = u8::try_from(buses.saturating_sub(1)).unwrap_or(u8::MAX);
    let mut mcfg = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    mcfg.add_ecam(ecam.start, 0, 0, last_bus);
    mcfg
}
