//! The leaves that describe a topology, by the manual that the CPU follows.

use super::{Topology, amd, common, intel};
use crate::cpu::{
    cpuid::Cpuid,
    patch::{Patch, Why},
    vendor::Manual,
};

impl Topology {
    /// The leaves of this topology in a CPU that follows `manual`, the same for every vCPU.
    ///
    /// Functions that are about nothing else are taken out of `cpuid`, and the patches write them anew. Where the leaves that a
    /// CPU had before leaf 0BH can't tell the topology, it gets that leaf.
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

    /// The fields of a vCPU's leaves about itself. `cpuid` has been through [`Topology::rewrite`].
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
