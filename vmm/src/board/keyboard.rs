//! The keyboard of a machine with a screen.

use std::sync::{Arc, Mutex};

use arch::{acpi::HardwareId, layout};
use devices::{
    input::{Hub, Input, Keys, Typist},
    platform::{HostTimer, I8042},
};

use super::{AcpiName, Board, BoardError, IsaSpec};

/// Plugs in the keyboard, and has `hub` send keys to it. Returns the typist that presses keys for programs.
pub(super) fn plug(board: &mut Board, hub: &Arc<Hub>) -> Result<Arc<Mutex<Typist>>, BoardError> {
    let spec = IsaSpec {
        name: "i8042 with a PS/2 keyboard",
        ports: (layout::I8042, I8042::LEN),
        gsi: Some(layout::KEYBOARD_GSI),
        acpi: Some(AcpiName { name: *b"KBD_", hid: HardwareId::Eisa("PNP0303"), uid: 0 }),
        backend: None,
    };
    let keyboard: Arc<Mutex<dyn Keys>> = board.isa(spec, |line| Ok(I8042::new(line)))?;
    hub.plug_keyboard(&keyboard);
    let timer = HostTimer::monotonic().map_err(|error| BoardError::Make("the keyboard's timer", error))?;
    let typist = Arc::new(Mutex::new(Typist::new(Arc::clone(hub) as Arc<dyn Input>, Box::new(timer))));
    board.wake(typist.clone());
    Ok(typist)
}
