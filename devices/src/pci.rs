//! One PCI bus: configuration space, the two ways to reach it, and MSI-X.
//!
//! Bus 0 has a host bridge and up to 248 functions, 8 in each of 31 devices. A function has up to six BARs, for registers or memory, which
//! are decoded if its command register says so. There are no further buses, and no hotplug.

mod address;
mod bar;
mod config;
mod dirty;
mod front;
mod function;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod host_bridge;
mod lifecycle;
mod memory;
mod msi;
mod msix;
mod root;

pub use address::PciAddress;
pub use bar::{Bar, BarError, BarSpace};
pub(crate) use config::overlap;
pub use config::{ClassCode, Command, ConfigSpace, ConfigState, Decoded, Identity};
pub use dirty::DirtyPages;
pub use front::{ConfigPorts, Ecam};
pub use function::{Doorbell, PciFunction};
pub use lifecycle::Lifecycle;
pub use memory::{BarMemory, DirtyLog};
pub use msi::MsiRegisters;
pub use msix::{MessageControl, Msix, MsixCapability, MsixState, MsixVectors};
pub use root::{BarTarget, FunctionInfo, PciRoot, SharedFunction, SlotError};
