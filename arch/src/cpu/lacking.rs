//! The features that a host lacks of named models.

use super::{
    CpuError, address_width,
    choice::{Choice, Reason, Unmet},
    cpuid::Cpuid,
    feature::FeatureId,
    host::HostCpu,
    model::NamedModel,
    offer::Offer,
    spec::{CpuSpec, Model},
};

/// A host that is compared with models. It is looked at once for all of them, and no CPU is made for it.
#[derive(Debug)]
pub struct Lacking(Offer);

impl Lacking {
    /// Looks at `host`.
    ///
    /// # Errors
    ///
    /// KVM leaves out what each processor has.
    pub fn new(host: &HostCpu) -> Result<Self, CpuError> {
        Ok(Self(Offer::new(host)?))
    }

    /// The features of a model that the host can't give, as [`CpuProfile::unmet`](super::profile::CpuProfile::unmet) tells them of a guest
    /// with that model.
    #[must_use]
    pub fn of(&self, model: &'static NamedModel) -> Vec<Unmet> {
        let spec = CpuSpec { model: Model::Named(model), ..CpuSpec::default() };
        // A model alone refuses no host.
        Choice::new(&self.0, &spec).map(|choice| choice.unmet).unwrap_or_default()
    }

    /// The parts of a CPU from another host that this one can't give: features, by name or by their bit in a leaf, and the width of physical
    /// addresses.
    #[must_use]
    pub fn of_cpu(&self, features: &[String], cpuid: &Cpuid) -> Vec<String> {
        let lacking = features.iter().filter_map(|name| match FeatureId::find(name) {
            Some(id) if self.0.features.contains(id) || self.0.emulated.contains(id) => None,
            Some(feature) => Some(Unmet { feature, reason: Reason::Host }.to_string()),
            // Of a later nvmm's table.
            None => Some(name.clone()),
        });
        let (given, width) =
            (address_width::physical(cpuid), address_width::physical(&self.0.capabilities.cpuid));
        let width =
            (given > width).then(|| format!("physical addresses of {given} bits (this host's have {width})"));
        lacking.chain(width).collect()
    }
}

#[cfg(test)]
#[path = "lacking_test.rs"]
mod tests;
