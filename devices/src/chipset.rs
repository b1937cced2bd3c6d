//! Intel's Q35 chipset as far as firmware drives it: SeaBIOS and OVMF know the machine by these two functions, and set it up through them.
//!
//! Nothing is behind the registers that only say where RAM answers in place of ROM (PAM) or is hidden for SMM (SMRAM): all of it is RAM all the
//! time, and there is no SMM. They keep what is written. Sources: Intel 3 Series Express Chipset Family Datasheet, "DRAM Controller Registers
//! (D0:F0)"; Intel I/O Controller Hub 9 (ICH9) Family Datasheet, "LPC Interface Bridge Registers (D31:F0)".

mod host_bridge;
mod lpc;
mod rom;

pub use host_bridge::HostBridge;
pub use lpc::Lpc;
pub use rom::Rom;

/// The board's maker, of which both firmwares know that the machine is QEMU's, with a fw_cfg device: Red Hat.
const SUBSYSTEM_VENDOR: u16 = 0x1af4;
/// The board.
const SUBSYSTEM: u16 = 0x1100;
