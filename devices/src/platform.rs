//! What a PC has beside its PCI bus, as far as an operating system without firmware needs it: a serial port, ACPI's
//! fixed registers, and the ways to end a machine.

mod debug_exit;
mod i8042;
mod power;
mod serial;

pub use debug_exit::DebugExit;
pub use i8042::I8042;
pub use power::PowerManagement;
pub use serial::Serial;
