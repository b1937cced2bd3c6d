//! virtio 1.x devices and their transport, PCI.

pub mod block;
pub mod device;
pub mod pci;
pub mod queue;
mod serve;
#[cfg(test)]
mod test_machine;
mod worker;
