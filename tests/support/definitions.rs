//! The CPU models of a QEMU, as QEMU itself describes them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::qmp::Qemu;

/// Definitions that depend on the host or the accelerator, and the empty one.
const NOT_MODELS: [&str; 3] = ["base", "host", "max"];

/// A model as returned by `query-cpu-model-expansion`, with or without `vmx`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias_of: Option<String>,
    pub(crate) vendor: String,
    pub(crate) family: u32,
    pub(crate) model: u32,
    pub(crate) stepping: u32,
    pub(crate) level: u32,
    pub(crate) xlevel: u32,
    pub(crate) model_id: String,
    pub(crate) avx10_version: u32,
    /// Features that are on, and that the empty model lacks.
    pub(crate) features: BTreeSet<String>,
}

/// All models of a QEMU.
#[derive(Debug)]
pub(crate) struct Definitions {
    /// The version.
    pub(crate) version: String,
    pub(crate) models: BTreeMap<String, Definition>,
    /// The names of all features and other switches.
    pub(crate) switches: BTreeSet<String>,
}

impl Definitions {
    /// Asks the first qemu-system-x86_64 in PATH with an accelerator, `tcg` or `kvm`; `Err` has the reason why there is none.
    pub(crate) fn ask(accelerator: &str) -> Result<Self, String> {
        let mut qemu = Qemu::start(&["-machine", "none", "-accel", accelerator])?;
        let version = qemu.ask("query-version", &json!({})).unwrap();
        let empty = expand(&mut qemu, "base");
        let mut models = BTreeMap::new();
        for definition in qemu.ask("query-cpu-definitions", &json!({})).unwrap().as_array().unwrap() {
            let name = text(&definition["name"]);
            if NOT_MODELS.contains(&name.as_str()) {
                continue;
            }
            let properties = expand(&mut qemu, &name);
            let number =
                |name: &str| properties[name].as_u64().map_or(0, |number| number.try_into().unwrap());
            let on =
                properties.iter().filter(|(name, on)| **on == json!(true) && empty.get(*name) != Some(on));
            let model = Definition {
                alias_of: definition["alias-of"].as_str().map(str::to_owned),
                vendor: text(&properties["vendor"]),
                family: number("family"),
                model: number("model"),
                stepping: number("stepping"),
                level: number("level"),
                xlevel: number("xlevel"),
                model_id: text(&properties["model-id"]),
                avx10_version: properties.get("avx10-version").map_or(0, |_| number("avx10-version")),
                // Switches that were requested, and older spellings.
                features: on
                    .map(|(name, _)| name.clone())
                    .filter(|name| name != "vmx" && !name.contains('_'))
                    .collect(),
            };
            models.insert(name, model);
        }
        let switches =
            empty.into_iter().filter(|(_, value)| value.is_boolean()).map(|(name, _)| name).collect();
        let qemu = &version["qemu"];
        let numbers = format!("{}.{}.{}", qemu["major"], qemu["minor"], qemu["micro"]);
        let package = version["package"].as_str().filter(|package| !package.is_empty());
        let version = package.map_or(numbers.clone(), |package| format!("{numbers} ({package})"));
        Ok(Self { version, models, switches })
    }
}

fn expand(qemu: &mut Qemu, name: &str) -> serde_json::Map<String, Value> {
    let question = json!({"type": "full", "model": {"name": name, "props": {"vmx": true}}});
    let mut answer = qemu.ask("query-cpu-model-expansion", &question).unwrap();
    let Value::Object(properties) = answer["model"]["props"].take() else { panic!("{name}: {answer}") };
    properties
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
