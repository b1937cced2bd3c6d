//! One PCI bus: configuration space, the two ways to reach it, and MSI-X.
//!
//! Bus 0 has a host bridge and up to 31 functions, each the only one of its device. A function has at most one memory
//! BAR. Nothing is behind a bridge, nothing comes or goes.

mod bar;
mod config;
mod front;
mod host_bridge;
mod msix;
mod root;

pub use bar::Bar;
pub(crate) use config::overlap;
pub use config::{ClassCode, Command, ConfigSpace, Identity};
pub use front::{ConfigPorts, Ecam};
pub use msix::{MessageControl, Msix, MsixCapability, MsixState, MsixVectors};
pub use root::{FunctionInfo, PciFunction, PciRoot, SharedFunction, SlotError};
