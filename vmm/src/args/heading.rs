//! The groups of a machine's options in `nvmm --help`.

pub(super) const KERNEL: &str = "Kernel or firmware";
pub(super) const CPU: &str = "CPU and memory";
pub(super) const DEVICES: &str = "Disks and other devices";
pub(super) const CLOUD: &str = "Cloud images";
pub(super) const SERIAL: &str = "Serial ports";
pub(super) const IDENTITY: &str = "Identity";
pub(super) const END: &str = "Resets and the end";
pub(super) const CONTROL: &str = "Control and debugging";
pub(super) const SNAPSHOTS: &str = "Snapshots";
pub(super) const JAIL: &str = "Sandbox and jail";
