//! What a PC has beside its PCI bus, as far as an operating system without firmware needs it: a serial port, a clock,
//! ACPI's fixed registers, and the ways to end a machine.

mod cmos;
mod debug_exit;
mod i8042;
mod pm_timer;
mod power;
mod pvpanic;
mod serial;
mod system_control;
mod timer;

pub use cmos::{Cmos, CmosPorts};
pub use debug_exit::DebugExit;
pub use i8042::I8042;
pub use power::PowerManagement;
pub use pvpanic::PvPanic;
pub use serial::Serial;
pub use system_control::SystemControlA;
pub use timer::{HostTimer, Timer};
