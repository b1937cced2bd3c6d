//! `query-cpu-definitions` and `query-cpu-model-expansion`: the CPU models of nvmm, and their features on this host.

use arch::cpu::{
    cpuid::Leaf,
    feature::FeatureId,
    host::HostCpu,
    lacking::Lacking,
    model,
    profile::CpuProfile,
    signature::Signature,
    spec::{CpuSpec, Model},
    topology::Topology,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    arguments::{Argument, Arguments},
    types::{Member, Type},
};
use crate::{
    host::OpenKvm,
    questions::{Answer, Refusal},
};

/// The arguments of `query-cpu-model-expansion`.
pub(super) const ARGUMENTS: &[Argument] = &[
    Argument::new(
        "type",
        Type::Enum(&["static", "full"]),
        "the model's differences from a named one, or all that it has",
    ),
    Argument::new(
        "model",
        Type::Object(&[Member::new("name", Type::String), Member::optional("props", Type::Any)]),
        "{\"name\": MODEL, \"props\": {\"FEATURE\": true, ...}}",
    ),
];

/// Names for the host's own CPU.
const HOST: [&str; 3] = ["host", "max", "host-passthrough"];
const HOST_MODEL: &str = "host-model";

/// A question about CPU models, which needs KVM to answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ModelQuestion {
    /// All models, each with the features that this host lacks.
    Definitions,
    /// One model.
    Expansion {
        /// List all features, instead of only the differences from a named model.
        is_full: bool,
        name: String,
        spec: Box<CpuSpec>,
        topology: Topology,
    },
}

/// QMP's `CpuModelInfo`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelInfo {
    name: String,
    #[serde(default)]
    props: Map<String, Value>,
}

impl ModelQuestion {
    /// The question that the arguments of `query-cpu-model-expansion` describe.
    ///
    /// # Errors
    ///
    /// There is no such model, or a property is invalid.
    pub(super) fn expansion(arguments: &mut Arguments, topology: Topology) -> Result<Self, Refusal> {
        let is_full = arguments.need::<String>("type")? == "full";
        let ModelInfo { name, props } = arguments.need("model")?;
        let mut words = name.clone();
        for (name, value) in props {
            let value = match value {
                Value::Bool(on) => if on { "on" } else { "off" }.to_owned(),
                Value::Number(number) => number.to_string(),
                Value::String(text) => text.replace(',', ",,"),
                other => return Err(Refusal(format!("property '{name}' can't be {other}"))),
            };
            words += &format!(",{name}={value}");
        }
        let spec: CpuSpec =
            words.parse().map_err(|error| Refusal(format!("{:#}", anyhow::Error::from(error))))?;
        Ok(Self::Expansion { is_full, name, spec: Box::new(spec), topology })
    }

    /// Asks KVM, and answers. That takes a while.
    pub(super) fn answer(&self, kvm: &OpenKvm) -> Answer {
        self.answer_for(&kvm.cpu().map_err(Refusal)?)
    }

    fn answer_for(&self, host: &HostCpu) -> Answer {
        match self {
            Self::Definitions => definitions(host),
            Self::Expansion { is_full: true, name, spec, topology } => {
                let profile = resolve(host, spec, topology)?;
                Ok(json!({"model": {"name": name, "props": all_of(&profile)}}))
            }
            Self::Expansion { is_full: false, spec, topology, .. } => {
                let mut spec = spec.clone();
                if spec.model == Model::HostPassthrough {
                    spec.model = Model::HostModel;
                }
                let canonical = resolve(host, &spec, topology)?.canonical().to_string();
                let mut words = canonical.split(',');
                let name = words.next().unwrap_or_default();
                let props: Map<_, _> = words.map(property).collect();
                Ok(json!({"model": {"name": name, "props": props}}))
            }
        }
    }
}

fn resolve(host: &HostCpu, spec: &CpuSpec, topology: &Topology) -> Result<CpuProfile, Refusal> {
    CpuProfile::resolve(host, spec, topology)
        .map_err(|error| Refusal(format!("{:#}", anyhow::Error::from(error))))
}

/// QMP's list of `CpuDefinitionInfo`.
fn definitions(host: &HostCpu) -> Answer {
    let lacking = Lacking::new(host).map_err(|error| Refusal(error.to_string()))?;
    let definition = |name: &str, is_static: bool, unavailable: Vec<&str>| {
        json!({
            "name": name,
            "typename": format!("{name}-x86_64-cpu"),
            "static": is_static,
            "migration-safe": is_static,
            "deprecated": false,
            "unavailable-features": unavailable,
        })
    };
    let of_host = HOST.into_iter().chain([HOST_MODEL]).map(|name| definition(name, false, Vec::new()));
    let named = model::all().map(|model| {
        let unavailable = lacking.of(model).iter().map(|unmet| unmet.feature.name()).collect();
        let mut info = definition(&model.name, true, unavailable);
        if let Some(other) = &model.alias_of {
            info["alias-of"] = json!(other);
        }
        info
    });
    Ok(of_host.chain(named).collect())
}

/// Each feature with whether a CPU has it, and the CPU's identification.
fn all_of(profile: &CpuProfile) -> Map<String, Value> {
    let features = profile.features();
    let mut props: Map<_, _> =
        FeatureId::all().map(|id| (id.name().to_owned(), features.contains(id).into())).collect();
    let leaves = profile.leaves(0);
    let first = leaves.get(Leaf::new(0));
    let Signature { family, model, stepping, .. } = Signature::decode(leaves.get(Leaf::new(1)).eax);
    for (name, value) in [
        ("level", json!(first.eax)),
        ("xlevel", json!(leaves.get(Leaf::new(0x8000_0000)).eax)),
        ("vendor", json!(String::from_utf8_lossy(&first.maker()))),
        ("family", json!(family)),
        ("model", json!(model)),
        ("stepping", json!(stepping)),
        ("model-id", json!(profile.brand())),
        ("phys-bits", json!(profile.physical_address_width())),
        ("pmu", json!(profile.pmu())),
    ] {
        props.insert(name.to_owned(), value);
    }
    props
}

/// A word of `--cpu` as a property: `+a` becomes true.
fn property(word: &str) -> (String, Value) {
    if let Some(name) = word.strip_prefix('+') {
        return (name.to_owned(), true.into());
    }
    if let Some(name) = word.strip_prefix('-') {
        return (name.to_owned(), false.into());
    }
    let (name, value) = word.split_once('=').unwrap_or((word, "on"));
    let value = match value {
        "on" => true.into(),
        "off" => false.into(),
        text => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
    };
    (name.to_owned(), value)
}

#[cfg(test)]
#[path = "models_test.rs"]
mod tests;
