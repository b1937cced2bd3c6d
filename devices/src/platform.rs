//! The devices of a PC besides its PCI bus, as far as firmware or an operating system without firmware needs them: a serial port, a clock,
//! ACPI's fixed registers, devices that reset or end a machine, and fw_cfg, which only firmware reads.

mod cmos;
mod debug_console;
mod debug_exit;
pub mod flash;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod fw_cfg;
pub(crate) mod i8042;
mod pm_timer;
mod power;
mod pvpanic;
mod serial;
mod system_control;
mod timer;
mod vm_generation;

pub use cmos::{Cmos, CmosPorts};
pub use debug_console::DebugConsole;
pub use debug_exit::DebugExit;
pub use i8042::{I8042, ResetOnlyI8042};
pub use power::PowerManagement;
pub use pvpanic::PvPanic;
pub use serial::Serial;
pub use system_control::SystemControlA;
pub use timer::{HostTimer, Timer};
pub use vm_generation::{GenerationId, VmGeneration};
