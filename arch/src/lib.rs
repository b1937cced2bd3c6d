//! x86 as data: CPUID and MSRs, VMX and SVM capabilities, the state at boot, ACPI and SMBIOS tables, guest RAM, page tables.
//!
//! Pure functions over plain values: no file descriptor, no thread, no ioctl. The structs of `kvm-bindings` are data, and allowed.
//!
//! ```text
//! options ──▶ cpu ──▶ CPUID leaves and MSRs, for KVM
//!              │
//!              ▼
//!            acpi, smbios ──▶ tables ─────────────────┐
//!            boot ──▶ memory map, boot parameters ────┼──▶ memory: guest RAM ──▶ paging: from linear to
//!              │                                      │                          physical addresses
//!              └────▶ registers of the first vCPU     └──▶ or files, for firmware
//!
//! layout: the addresses, ports and interrupt lines that all of these, the devices and the VMM agree on
//! ```
//!
//! The memory map of a guest with 4 GiB of RAM has 3 GiB below the hole for devices, and the rest above 4 GiB:
//!
//! ```
//! use arch::{boot, layout};
//!
//! let map = boot::memory_map(4 << 30)?;
//! let ranges: Vec<_> = map.ram.iter().map(|&(start, len)| (start.0, len)).collect();
//! assert_eq!(ranges, [(0, 3 << 30), (layout::RAM_ABOVE_4G, 1 << 30)]);
//! # Ok::<(), boot::BootError>(())
//! ```

#![forbid(unsafe_code)]

pub mod acpi;
pub mod boot;
mod checksum;
pub mod cpu;
pub mod layout;
pub mod memory;
pub mod paging;
pub mod smbios;
pub mod suggest;

pub use checksum::checksum;
