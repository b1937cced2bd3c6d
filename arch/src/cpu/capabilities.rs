//! The capabilities of a CPU, as leaves and capability MSRs, and as a set of features.

use std::collections::BTreeMap;

use super::{
    cpuid::{Cpuid, Registers},
    feature::{FeatureId, FeatureSet, Place},
    msr,
    vmx::Controls,
};

/// CPUID's leaves, and the MSRs that report further capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The leaves.
    pub cpuid: Cpuid,
    /// VMX capabilities, IA32_ARCH_CAPABILITIES and IA32_CORE_CAPABILITIES.
    pub msrs: BTreeMap<u32, u64>,
}

impl Capabilities {
    /// The known features that it has.
    #[must_use]
    pub fn features(&self) -> FeatureSet {
        // The table has the features of a leaf next to each other.
        let mut last = (None, Registers::default());
        let mut has = |place| match place {
            Place::Cpuid(leaf, register, bit) => {
                if last.0 != Some(leaf) {
                    last = (Some(leaf), self.cpuid.get(leaf));
                }
                last.1.get(register) >> bit & 1 == 1
            }
            Place::Msr(..) | Place::Control(..) => self.has(place),
        };
        FeatureId::all().filter(|id| has(id.feature().place)).collect()
    }

    /// Returns whether a feature's bit is set.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        let msr = |index| self.msrs.get(&index).copied().unwrap_or_default();
        match place {
            Place::Cpuid(leaf, register, bit) => self.cpuid.get(leaf).get(register) >> bit & 1 == 1,
            Place::Msr(index, bit) => msr(index) >> bit & 1 == 1,
            Place::Control(index, bit) => Controls::from(msr(index)).free() >> bit & 1 == 1,
        }
    }

    /// Sets or clears a feature's bit. A VMX control that is cleared gets the fixed value that it has on a CPU without it.
    pub fn set(&mut self, place: Place, on: bool) {
        match place {
            Place::Cpuid(leaf, register, bit) => {
                if !on && !self.cpuid.0.contains_key(&leaf) {
                    return;
                }
                let register = self.cpuid.0.entry(leaf).or_default().get_mut(register);
                *register = *register & !(1 << bit) | u32::from(on) << bit;
            }
            Place::Msr(index, bit) => {
                if on || self.msrs.contains_key(&index) {
                    let value = self.msrs.entry(index).or_default();
                    *value = *value & !(1 << bit) | u64::from(on) << bit;
                }
            }
            Place::Control(index, bit) => {
                if on || self.msrs.contains_key(&index) {
                    let value = self.msrs.entry(index).or_default();
                    let mut controls = Controls::from(*value);
                    controls.set_free(bit, on, msr::vmx_default1(index));
                    *value = controls.into();
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "capabilities_test.rs"]
mod tests;
