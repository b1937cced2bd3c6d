//! The features that a host lacks of named models.

use super::{
    CpuError,
    choice::{Choice, Unmet},
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
}

#[cfg(test)]
#[path = "lacking_test.rs"]
mod tests;
