//! The leaves that describe a topology, by the manual that the CPU follows.

use super::{Topology, amd, common, intel};
use crate::cpu::{
    cpuid::Cpuid,
    patch::{Patch, Why},
    vendor::Manual,
};

impl Topology {
    /// The patches that write this topology, the same for every vCPU, into a CPU that follows `manual`.
    ///
    /// Functions that describe nothing but topology are removed from `cpuid`, and the patches write them anew. If the leaves from before
    /// leaf 0BH can't express the topology, the CPU gets leaf 0BH.
    pub(in crate::cpu) fn rewrite(&self, cpuid: &mut Cpuid, manual: Manual) -> Vec<Patch> {
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

    /// Sets the fields about the vCPU itself. `cpuid` has been through [`Topology::rewrite`].
    pub(in crate::cpu) fn personalize(&self, cpuid: &mut Cpuid, manual: Manual, vcpu: u32) {
        let mut fields = common::vcpu_fields(self, cpuid, vcpu);
        if manual == Manual::Amd {
            fields.extend(amd::vcpu_fields(self, cpuid, vcpu));
        }
        for (field, value) in fields {
            field.set(cpuid, value);
        }
    }
}
