//! The guest's devices: the buses, PCI, virtio, AHCI and a PC's small devices, with disks, networks and character devices behind them.
//!
//! ```text
//! vCPU ──▶ bus ──┬──▶ platform: serial port, clock, ACPI registers, fw_cfg ...      each write returns an Effect,
//!                ├──▶ display, input: VGA, keyboard, tablet                         on which the machine acts
//!                └──▶ pci ──┬──▶ virtio: block, net, vsock, balloon, rng, input
//!                           └──▶ ahci: SATA disks, CD-ROM drives
//!                                    │ worker threads
//!                                    ▼
//!              block ──▶ disk: raw, qcow2, vmdk     net, vhost: tap, passt     chars: terminal, socket, pty
//! ```
//!
//! A device knows neither KVM nor the machine. It has registers ([`bus::BusDevice`]) in front and, where there is I/O, threads
//! behind them that own its back end. It interrupts through [`irq::Line`] or [`irq::Msi`], and makes requests to the machine by
//! the value that a write returns ([`bus::Effect`]).
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use devices::{
//!     bus::{Bus, Effect},
//!     platform::DebugExit,
//! };
//!
//! let bus = Bus::default();
//! bus.insert(0xf4, DebugExit::LEN, Arc::new(Mutex::new(DebugExit)))?;
//! // QEMU's `isa-debug-exit`: the value 1 ends the VMM with the status 3.
//! assert_eq!(bus.view().write(0xf4, &[1]), Effect::Exit(3));
//! # Ok::<(), devices::bus::BusError>(())
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod ahci;
pub mod block;
mod buffers;
pub mod bus;
pub mod chars;
pub mod chipset;
pub mod disk;
pub mod display;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod input;
pub mod irq;
pub mod net;
pub mod once;
pub mod output;
pub mod pci;
pub mod platform;
pub mod printable;
mod registers;
pub mod root;
pub mod size;
pub mod state;
#[cfg(test)]
mod testing;
pub mod threads;
mod vectored;
pub mod vhost;
pub mod virtio;
pub mod wakes;
mod worker;
