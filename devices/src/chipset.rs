//! Intel's Q35 chipset, as far as firmware uses it: SeaBIOS and OVMF recognize the machine by these two functions, and set it up through
//! them.
//!
//! The registers that select between RAM and ROM (PAM) and that hide RAM for SMM (SMRAM) only keep what is written: all of it is always
//! RAM, and there is no SMM. Sources: Intel 3 Series Express Chipset Family Datasheet, "DRAM Controller Registers (D0:F0)"; Intel I/O
//! Controller Hub 9 (ICH9) Family Datasheet, "LPC Interface Bridge Registers (D31:F0)".

mod host_bridge;
mod lpc;
mod rom;

pub use host_bridge::HostBridge;
pub use lpc::Lpc;
pub use rom::Rom;

/// The board's vendor id: Red Hat's, by which both firmwares recognize QEMU's machine with a fw_cfg device.
const SUBSYSTEM_VENDOR: u16 = 0x1af4;
/// The board's id.
const SUBSYSTEM: u16 = 0x1100;
