//! virtio 1.x devices and their transport, PCI.

pub mod device;
