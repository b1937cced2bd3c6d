//! The CPU that a guest gets: its CPUID leaves and MSRs, made from what the host offers and what the user asked for.
//!
//! ```text
//! HostCpu ──▶ Offer ──┬──▶ Choice ──────▶ start ──▶ features ──▶ derived leaves ──▶ topology ──▶ CpuProfile ──▶ per vCPU
//!  (KVM's leaves,     │    (base, +a, -b,   (the model's leaves,                                     │
//!   and native ones)  │     needs, what the  or the host's)                                          ▼
//! CpuSpec ────────────┘     host can give)                              KVM_SET_CPUID2, KVM_SET_MSRS ──▶ verify
//! ```
//!
//! Each difference from KVM's own answer is kept as a `Decision`, which names who made it.

pub mod address_width;
pub mod apic_id;
pub mod baseline;
pub mod brand;
pub mod capabilities;
pub mod choice;
pub mod cpuid;
pub mod feature;
pub mod host;
pub mod identity;
pub mod lacking;
pub mod model;
pub mod msr;
pub mod nesting;
pub mod patch;
pub mod profile;
pub mod sets;
pub mod signature;
pub mod spec;
pub mod svm;
pub mod topology;
pub mod vendor;
pub mod verify;
pub mod vmx;

mod clock;
mod derive;
mod error;
mod field;
mod fit;
mod hex;
mod host_model;
mod hypervisor;
mod l3;
mod leaves;
mod machine_check;
mod offer;
mod pmu;
mod unmet;
mod vcpu_msrs;
mod xsave;

pub use error::{CpuError, SpecError};

#[cfg(test)]
#[path = "cpu/testing.rs"]
pub(crate) mod testing;

#[cfg(test)]
#[path = "cpu/properties_test.rs"]
mod properties;
