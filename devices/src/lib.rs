//! The guest's devices: the bus, serial, ACPI and PCI registers, virtio, disk images.
//!
//! A device knows neither KVM nor the machine. It is registers ([`bus::BusDevice`]) in front, and behind them, where
//! there is I/O, threads that own it. It interrupts through [`irq::Line`] or [`irq::Msi`], and asks things of the
//! machine by what a write returns ([`bus::Effect`]).

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
