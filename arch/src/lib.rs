//! x86 as data: memory layout, CPUID and MSRs, VMX and SVM capabilities, boot state, ACPI, SMBIOS, guest RAM,
//! page tables.
//!
//! Pure functions over plain values: no file descriptor, no thread, no ioctl. The structs of `kvm-bindings` are data, and allowed.

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
