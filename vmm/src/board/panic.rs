//! `--on-panic`: the port on which the guest's kernel reports that it panics.

use arch::{acpi::HardwareId, layout};
use devices::platform::PvPanic;

use super::{AcpiName, Board, IsaSpec, OpenDevice};

/// pvpanic, where QEMU has it, and with QEMU's name in ACPI.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanicPort;

impl OpenDevice for PanicPort {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let spec = IsaSpec {
            name: "pvpanic",
            ports: (layout::PVPANIC, PvPanic::LEN),
            gsi: None,
            acpi: Some(AcpiName { name: *b"PEVT", hid: HardwareId::Acpi("QEMU0001"), uid: 0 }),
            backend: None,
        };
        board.isa(spec, |_| Ok(PvPanic::default()))?;
        Ok(())
    }
}
