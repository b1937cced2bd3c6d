//! virtio 1.x devices and their transport, PCI.

pub mod balloon;
pub mod block;
pub mod device;
pub mod input;
pub mod net;
pub mod pci;
pub mod queue;
pub mod rng;
mod serve;
#[cfg(test)]
mod test_machine;
#[cfg(test)]
mod test_vhost;
mod vhost;
pub mod vsock;
