//! Sockets, dies, cores and threads: APIC ids, and the leaves that describe them.
//!
//! An APIC id is packed: the thread's number in the lowest bits, then the core's, the die's and the socket's, each as wide as its count
//! needs (SDM 3A, "Hierarchical Mapping of Logical Processors in a Multi-Threaded System").

mod amd;
mod common;
mod intel;

use std::fmt;

use serde::Serialize;

use super::{
    CpuError,
    cpuid::Cpuid,
    field::Field,
    host::Manual,
    patch::{Patch, Why},
};

/// KVM takes vCPU ids below 2^14; two more bits leave room for uneven counts.
pub(super) const MAX_APIC_ID_BITS: u32 = 16;
/// The first id that leaf 1 and an xAPIC can't hold: 255 is the broadcast id.
pub const FIRST_X2APIC_ID: u32 = 255;

/// How the vCPUs are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Topology {
    sockets: u32,
    dies: u32,
    cores: u32,
    threads: u32,
}

impl Topology {
    /// `sockets` of `dies` each, of `cores` each, of `threads` each.
    ///
    /// # Errors
    ///
    /// A number is zero, or the APIC ids get too wide.
    pub fn new(sockets: u32, dies: u32, cores: u32, threads: u32) -> Result<Self, CpuError> {
        let counts = [sockets, dies, cores, threads];
        if counts.contains(&0) {
            return Err(CpuError::NoVcpus);
        }
        if counts.map(width).iter().sum::<u32>() > MAX_APIC_ID_BITS {
            let vcpus = counts.into_iter().map(u64::from).fold(1, u64::saturating_mul);
            return Err(CpuError::TooManyVcpus(vcpus));
        }
        Ok(Self { sockets, dies, cores, threads })
    }

    /// One socket of `vcpus` cores, as QEMU counts since 6.2.
    ///
    /// # Errors
    ///
    /// As [`Topology::new`].
    pub fn flat(vcpus: u32) -> Result<Self, CpuError> {
        Self::new(1, 1, vcpus, 1)
    }

    /// How many vCPUs there are.
    #[must_use]
    pub fn vcpus(&self) -> u32 {
        self.sockets * self.threads_per_package()
    }

    /// Whether there is but one thread in a core and one die in a socket.
    #[must_use]
    pub fn has_only_cores(&self) -> bool {
        self.threads == 1 && self.dies == 1
    }

    /// The APIC id of a vCPU. vCPUs fill a core, then a die, then a socket.
    #[must_use]
    pub fn apic_id(&self, vcpu: u32) -> u32 {
        let core = vcpu / self.threads;
        let die = core / self.cores;
        let socket = die / self.dies;
        (vcpu % self.threads)
            | ((core % self.cores) << self.core_shift())
            | ((die % self.dies) << self.die_shift())
            | (socket << self.package_shift())
    }

    /// The greatest APIC id.
    #[must_use]
    pub fn max_apic_id(&self) -> u32 {
        self.apic_id(self.vcpus() - 1)
    }

    /// Bits of an APIC id below the core's number.
    fn core_shift(&self) -> u32 {
        width(self.threads)
    }

    /// Bits of an APIC id below the die's number.
    fn die_shift(&self) -> u32 {
        self.core_shift() + width(self.cores)
    }

    /// Bits of an APIC id below the socket's number.
    fn package_shift(&self) -> u32 {
        self.die_shift() + width(self.dies)
    }

    fn threads_per_die(&self) -> u32 {
        self.cores * self.threads
    }

    fn threads_per_package(&self) -> u32 {
        self.dies * self.threads_per_die()
    }

    /// APIC ids set aside for what shares a cache of this level: the first two levels belong to a core, further ones to a die.
    fn ids_sharing_cache(&self, level: u32) -> u32 {
        1 << if level <= 2 { self.core_shift() } else { self.die_shift() }
    }

    /// What the leaves of a CPU that follows `manual` say of this topology, the same for every vCPU.
    ///
    /// Functions that are about nothing else are taken out of `cpuid`, and the patches write them anew. Where the leaves that a
    /// CPU had before leaf 0BH can't tell the topology, it gets that leaf.
    pub(super) fn rewrite(&self, cpuid: &mut Cpuid, manual: Manual) -> Vec<Patch> {
        let told = match manual {
            Manual::Intel => intel::tells(self, cpuid),
            Manual::Amd => amd::tells(self, cpuid),
        };
        let mut fields = common::fields(self, cpuid, told);
        match manual {
            Manual::Intel => fields.extend(intel::fields(self, cpuid)),
            Manual::Amd => fields.extend(amd::fields(self, cpuid)),
        }
        let patch = |(field, value)| Patch { field, value, why: Why::Topology };
        fields.into_iter().map(patch).collect()
    }

    /// What a vCPU's leaves say of itself. `cpuid` has been through [`Topology::rewrite`].
    pub(super) fn personalize(&self, cpuid: &mut Cpuid, manual: Manual, vcpu: u32) {
        let mut fields = common::vcpu_fields(self, cpuid, vcpu);
        if manual == Manual::Amd {
            fields.extend(amd::vcpu_fields(self, cpuid, vcpu));
        }
        for (field, value) in fields {
            field.set(cpuid, value);
        }
    }
}

/// `2 sockets x 1 die x 3 cores x 2 threads`.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sockets, dies, cores, threads } = self;
        let counts = [(sockets, "socket"), (dies, "die"), (cores, "core"), (threads, "thread")];
        for (place, (count, name)) in counts.into_iter().enumerate() {
            let times = if place == 0 { "" } else { " x " };
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{times}{count} {name}{plural}")?;
        }
        Ok(())
    }
}

/// A field and its value.
type Fields = Vec<(Field, u32)>;

/// Bits that number `count` things.
fn width(count: u32) -> u32 {
    u32::BITS - count.saturating_sub(1).leading_zeros()
}

/// A count as a field that can't hold more than its greatest value has it.
fn saturating(field: Field, value: u32) -> (Field, u32) {
    (field, value.min(field.max()))
}

#[cfg(test)]
#[path = "topology_test.rs"]
mod tests;

#[cfg(test)]
#[path = "topology/linux_test.rs"]
mod linux_tests;
