//! `query-stats`: KVM's counters, in QMP's form.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    arguments::{Argument, Arguments},
    cpus::{index_of, path},
    types::{Member, Type},
};
use crate::{
    questions::Refusal,
    stats::{Counters, Stats},
};

const KVM: &str = "kvm";
const VM: &str = "vm";
const VCPU: &str = "vcpu";

/// The arguments of `query-stats`.
pub(super) const ARGUMENTS: &[Argument] = &[
    Argument::new("target", Type::Enum(&[VM, VCPU]), "the machine as a whole, or its vCPUs"),
    Argument::optional(
        "vcpus",
        Type::Array(&Type::String),
        "only these vCPUs, by the qom-path that query-cpus-fast tells",
    ),
    Argument::optional(
        "providers",
        Type::Array(&Type::Object(&[
            Member::new("provider", Type::Enum(&[KVM])),
            Member::optional("names", Type::Array(&Type::String)),
        ])),
        "only these: [{\"provider\": \"kvm\", \"names\": [\"exits\"]}]",
    ),
];

/// QMP's `StatsFilter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    is_of_vcpus: bool,
    /// None: all.
    vcpus: Option<Vec<usize>>,
    /// None: all.
    providers: Option<Vec<Provider>>,
}

/// QMP's `StatsRequest`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Provider {
    provider: String,
    /// None: all.
    names: Option<Vec<String>>,
}

impl Filter {
    /// The filter that the arguments describe.
    ///
    /// # Errors
    ///
    /// A member has the wrong form, or names something unknown.
    pub(super) fn new(arguments: &mut Arguments) -> Result<Self, Refusal> {
        let is_of_vcpus = arguments.need::<String>("target")? == VCPU;
        let vcpus = arguments.take::<Vec<String>>("vcpus")?;
        if vcpus.is_some() && !is_of_vcpus {
            return Err(Refusal("Parameter 'vcpus' is unexpected".to_owned()));
        }
        let index = |path: &String| {
            index_of(path).ok_or_else(|| Refusal(format!("Parameter 'vcpus': there is no vCPU '{path}'")))
        };
        let vcpus = vcpus.map(|paths| paths.iter().map(index).collect()).transpose()?;
        let providers = arguments.take::<Vec<Provider>>("providers")?;
        for Provider { provider, .. } in providers.iter().flatten() {
            if provider != KVM {
                return Err(Refusal(format!("Parameter 'provider' does not accept value '{provider}'")));
            }
        }
        Ok(Self { is_of_vcpus, vcpus, providers })
    }

    /// QMP's list of `StatsResult`, made from the machine's answer.
    ///
    /// # Errors
    ///
    /// There is no such vCPU.
    pub(super) fn apply(&self, all: Value) -> Result<Value, Refusal> {
        let all: Stats = serde_json::from_value(all).map_err(|error| Refusal(error.to_string()))?;
        if !self.is_of_vcpus {
            let stats = self.stats(&all.vm);
            return Ok(stats.iter().map(|stats| json!({"provider": KVM, "stats": stats})).collect());
        }
        let vcpus = self.vcpus.clone().unwrap_or_else(|| (0..all.vcpus.len()).collect());
        let mut results = Vec::new();
        for index in vcpus {
            let path = path(index);
            let Some(counters) = all.vcpus.get(index) else {
                return Err(Refusal(format!("Parameter 'vcpus': there is no vCPU '{path}'")));
            };
            let stats = self.stats(counters);
            results.extend(stats.map(|stats| json!({"provider": KVM, "qom-path": path, "stats": stats})));
        }
        Ok(results.into())
    }

    /// QMP's list of `Stats`; none if the filter excludes KVM.
    fn stats(&self, counters: &Counters) -> Option<Value> {
        let wants = |wanted: &Provider, name| {
            wanted.names.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name))
        };
        if self.providers.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        let counters = counters.iter().filter(|(name, _)| {
            self.providers.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| wants(wanted, *name)))
        });
        Some(counters.map(|(name, value)| json!({"name": name, "value": value})).collect())
    }
}

#[cfg(test)]
#[path = "stats_test.rs"]
mod tests;
