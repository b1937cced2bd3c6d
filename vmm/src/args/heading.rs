//! The groups of a machine's options in `nvmm --help`.

pub(super) const KERNEL: &str = "Kernel or firmware";
pub(super) const CPU: &str = "CPU and memory";
pub(super) const DISKS: &str = "Disks";
pub(super) const NETWORK: &str = "Network";
pub(super) const DEVICES: &str = "Other devices";
pub(super) const CLOUD: &str = "Cloud images";
pub(super) const SERIAL: &str = "Serial ports";
pub(super) const IDENTITY: &str = "Identity";
pub(super) const RUNNING: &str = "Running";
pub(super) const CONTROL: &str = "Control and debugging";
pub(super) const SNAPSHOTS: &str = "Snapshots";
pub(super) const JAIL: &str = "Sandbox and jail";
pub(super) const OTHERS: &str = "Machines of QEMU and libvirt";
