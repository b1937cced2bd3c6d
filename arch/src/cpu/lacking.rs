//! The features of named models that a host lacks.

use std::collections::BTreeMap;

use super::{
    CpuError,
    choice::{Choice, Reason, Unmet},
    cpuid::Cpuid,
    feature::FeatureId,
    fit,
    host::HostCpu,
    model::NamedModel,
    offer::Offer,
    spec::{CpuSpec, Model},
};

/// A host to compare with models. It is examined once for all of them, and no CPU is resolved.
#[derive(Debug)]
pub struct Lacking(Offer);

impl Lacking {
    /// Examines `host`.
    ///
    /// # Errors
    ///
    /// The host's CPUID lacks a leaf that is always needed.
    pub fn new(host: &HostCpu) -> Result<Self, CpuError> {
        Ok(Self(Offer::new(host)?))
    }

    /// The features of a model that the host can't give, as [`CpuProfile::unmet`](super::profile::CpuProfile::unmet) reports them for a
    /// guest with that model.
    #[must_use]
    pub fn of(&self, model: &'static NamedModel) -> Vec<Unmet> {
        let spec = CpuSpec { model: Model::Named(model), ..CpuSpec::default() };
        // There is no error: only further words of `--cpu` refuse a host.
        Choice::new(&self.0, &spec).map(|choice| choice.unmet).unwrap_or_default()
    }

    /// All parts of a CPU from another host that this host can't give: features by name and by their bit in a leaf or an MSR, then the
    /// maker, widths, the layout of state, and bits of `msrs`, the MSRs that report capabilities.
    #[must_use]
    pub fn of_cpu(&self, features: &[String], cpuid: &Cpuid, msrs: &BTreeMap<u32, u64>) -> Vec<String> {
        let offered = self.0.features | self.0.emulated;
        let (mut lacking, mut told) = (Vec::new(), Vec::new());
        let known = features.iter().filter_map(|name| FeatureId::find(name)).collect();
        for name in features {
            match FeatureId::find(name) {
                Some(feature) if !offered.contains(feature) => {
                    told.push(feature.feature().place);
                    lacking.push(Unmet { feature, reason: Reason::Host }.to_string());
                }
                Some(_) => {}
                // A name from the table of a later nvmm.
                None => lacking.push(name.clone()),
            }
        }
        lacking.extend(fit::lacking(&self.0.capabilities, cpuid, msrs, known, &told));
        lacking
    }
}

#[cfg(test)]
#[path = "lacking_test.rs"]
mod tests;
