//! The devices with fixed ports that every machine has, and that have nothing open on the host.

use std::sync::{Arc, Mutex};

use arch::layout;
use devices::platform::{HostTimer, PowerManagement, ResetOnlyI8042, SystemControlA, VmGeneration};

use super::{Board, BoardError, IsaSpec, generation::new_generation};

/// Plugs them in, and returns the device with the power button. A machine that `has_keyboard` gets its keyboard controller elsewhere;
/// others get only the controller's reset.
pub(crate) fn plug(board: &mut Board, has_keyboard: bool) -> Result<Arc<Mutex<PowerManagement>>, BoardError> {
    let spec = |name, port, len| IsaSpec { name, ports: (port, len), gsi: None, acpi: None, backend: None };
    let power = spec("ACPI power management", layout::PM1A_EVENT, PowerManagement::LEN);
    let power = board.isa(IsaSpec { gsi: Some(layout::SCI_GSI), ..power }, |line| {
        Ok(PowerManagement::new(line, Box::new(HostTimer::monotonic()?)))
    })?;
    board.wake(power.clone());
    if !has_keyboard {
        board.isa(spec("i8042 (reset only)", layout::I8042, ResetOnlyI8042::LEN), |_| Ok(ResetOnlyI8042))?;
    }
    let control = spec("system control port A", layout::SYSTEM_CONTROL_A, SystemControlA::LEN);
    board.isa(control, |_| Ok(SystemControlA::default()))?;
    let generation = spec("VM generation ID", layout::VM_GENERATION, VmGeneration::LEN);
    let memory = board.memory().clone();
    let generation = board.isa(IsaSpec { gsi: Some(layout::VM_GENERATION_GSI), ..generation }, |line| {
        Ok(VmGeneration::new(new_generation(), memory, line))
    })?;
    board.generation = Some(generation);
    Ok(power)
}
