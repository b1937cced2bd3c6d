//! `--debug-exit`: a port by which the guest ends nvmm.

use anyhow::{Context, anyhow, bail};
use arch::layout;
use devices::platform::DebugExit;

use super::{Board, IsaSpec, OpenDevice};

/// The debug-exit port at this address.
#[derive(Clone, Copy, Debug)]
pub(super) struct DebugExitPort(pub(super) u16);

impl OpenDevice for DebugExitPort {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let Self(port) = *self;
        let spec = IsaSpec {
            name: "debug exit",
            ports: (port, DebugExit::LEN),
            gsi: None,
            acpi: None,
            backend: None,
        };
        plug(board, spec).with_context(|| format!("--debug-exit {port:#x}"))
    }
}

fn plug(board: &mut Board, spec: IsaSpec) -> anyhow::Result<()> {
    let first = spec.ports.0;
    let ports = first..first.saturating_add(u16::try_from(DebugExit::LEN)?);
    if layout::KVM_PORTS.iter().any(|kvms| kvms.start < ports.end && ports.start < kvms.end) {
        bail!("KVM's own interrupt controllers and timer are there; give another port, such as 0xf4");
    }
    let plugged = board.isa(spec, |_| Ok(DebugExit));
    plugged.map_err(|error| anyhow!("{error}; give another port, such as 0xf4"))?;
    Ok(())
}
