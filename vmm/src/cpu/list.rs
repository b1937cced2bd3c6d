//! `nvmm cpu list`: lists all models and features, and marks those that a host can give.

use std::collections::BTreeMap;

use arch::cpu::{
    cpuid::{Leaf, Register},
    feature::{FeatureId, Place},
    host::HostCpu,
    lacking::Lacking,
    model::NamedModel,
    patch::Why,
    profile::CpuProfile,
    spec::{CpuSpec, Model},
    topology::Topology,
};
use serde::Serialize;

use super::{
    models::families,
    text::{Paint, block, comma, fill, width},
};

/// The column of the marks, after the versions' names.
const MARK: usize = 34;
/// Columns of a model's maker, family and model.
const AGE: usize = 16;

/// The models and features, marked for a host.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    host: Option<Host>,
    models: Vec<Family>,
    features: Vec<Feature>,
}

#[derive(Debug, Serialize)]
struct Host {
    brand: String,
    nesting: &'static str,
    /// The model from which host-model starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

#[derive(Debug, Serialize)]
struct Family {
    name: &'static str,
    vendor: &'static str,
    family: u32,
    model: u32,
    brand: &'static str,
    versions: Vec<Version>,
}

#[derive(Debug, Serialize)]
struct Version {
    name: &'static str,
    aliases: Vec<&'static str>,
    brand: &'static str,
    stepping: u32,
    /// The host can give all of its features.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<bool>,
    /// The features that it can't give.
    lacks: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Feature {
    name: &'static str,
    aliases: &'static [&'static str],
    place: String,
    about: &'static str,
    /// The host can give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<bool>,
    #[serde(skip)]
    register: Group,
}

/// A register with features, in the order of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Cpuid(Leaf, Register),
    Msr(u32),
}

impl Listing {
    /// Lists everything, with marks if there is a host.
    pub(super) fn new(host: Option<&HostCpu>) -> anyhow::Result<Self> {
        let topology = Topology::flat(1)?;
        let all = host.map(|host| CpuProfile::resolve(host, &CpuSpec::default(), &topology)).transpose()?;
        let lacking = host.map(Lacking::new).transpose()?;
        let lacks = |model: &'static NamedModel| {
            Some(lacking.as_ref()?.of(model).iter().map(|unmet| unmet.feature.name()).collect::<Vec<_>>())
        };
        let version = |(model, aliases): &(&'static NamedModel, Vec<&'static str>)| {
            let lacks = lacks(model);
            Version {
                name: &model.name,
                aliases: aliases.clone(),
                brand: model.brand,
                stepping: model.signature.stepping,
                runs: lacks.as_ref().map(Vec::is_empty),
                lacks: lacks.unwrap_or_default(),
            }
        };
        let models = families().into_iter().filter_map(|family| {
            let (first, _) = family.versions.first()?;
            Some(Family {
                name: family.name,
                vendor: vendor(first.maker),
                family: first.signature.family,
                model: first.signature.model,
                brand: first.brand,
                versions: family.versions.iter().map(version).collect(),
            })
        });
        let gives = |id| {
            let host = all.as_ref()?;
            Some(host.features().contains(id) || host.why(id) == Why::Topology)
        };
        let nearest = host.and_then(|host| {
            let spec = CpuSpec { model: Model::HostModel, ..CpuSpec::default() };
            Some(CpuProfile::resolve(host, &spec, &topology).ok()?.canonical().model.to_string())
        });
        let host =
            |all: &CpuProfile| Host { brand: all.brand(), nesting: all.nesting().name(), model: nearest };
        Ok(Self {
            models: models.collect(),
            features: FeatureId::all().map(|id| Feature::new(id, gives(id))).collect(),
            host: all.as_ref().map(host),
        })
    }

    /// The text for a terminal. With `everything`, it names each feature that prevents a model from running.
    pub(super) fn text(&self, everything: bool, paint: Paint) -> String {
        let mut text = String::new();
        if let Some(Host { brand, nesting, .. }) = &self.host {
            text += &format!("{}; nesting: {nesting}\n\n", paint.bold(brand));
        }
        text += "host-passthrough (host, max)      all that KVM offers here\n";
        let model = self.host.as_ref().and_then(|host| host.model.as_deref());
        let nearest = model.unwrap_or("the model of the host's generation");
        let nearest = format!("{nearest}, with the features that this host has");
        text += &block("host-model", MARK, &fill(nearest.split(' '), MARK));
        for family in &self.models {
            let Family { name, vendor, family: number, model, brand, .. } = family;
            let age = format!("{vendor} {number}/{model}");
            let name = paint.bold(&format!("{name:<MARK$}"));
            let brand = fill(brand.split(' '), MARK + AGE).join(&format!("\n{:1$}", "", MARK + AGE));
            text += format!("\n{name}{age:<AGE$}{brand}").trim_end();
            text.push('\n');
            for version in &family.versions {
                text += &version.text(name_of(version.name), everything, paint);
            }
        }
        text += "\nFeatures";
        text += if self.host.is_some() { ", those first that this host can give\n" } else { "\n" };
        let mut groups: BTreeMap<Group, Vec<&Feature>> = BTreeMap::new();
        for feature in &self.features {
            groups.entry(feature.register).or_default().push(feature);
        }
        for (group, features) in groups {
            text += &format!("\n{}\n", paint.bold(&group.name()));
            let (here, not): (Vec<_>, Vec<_>) =
                features.iter().partition(|feature| feature.host != Some(false));
            let names =
                |features: &[&&Feature]| features.iter().map(|feature| feature.name).collect::<Vec<_>>();
            let label = |host: &str| if self.host.is_some() { host.to_owned() } else { String::new() };
            let paint_lines = |lines: Vec<String>, with: fn(Paint, &str) -> String| {
                lines.iter().map(|line| with(paint, line)).collect::<Vec<_>>()
            };
            let here = paint_lines(
                fill(names(&here), 12),
                if self.host.is_some() { Paint::good } else { Paint::plain },
            );
            text += &block(&label("  here"), 12, &here);
            text += &block(&label("  not here"), 12, &paint_lines(fill(names(&not), 12), Paint::dim));
        }
        text
    }
}

impl Version {
    /// `  -v2  Haswell-noTSX            lacks 3: hle, rtm, ...`.
    fn text(&self, version: &str, everything: bool, paint: Paint) -> String {
        let names = format!("  -v{version:<3} {}", self.aliases.join(", "));
        let mark = match (self.runs, self.lacks.len()) {
            (None, _) => return format!("{}\n", names.trim_end()),
            (Some(true), _) => return format!("{names:<MARK$}{}\n", paint.good("runs")),
            (Some(false), count) => format!("lacks {count}:"),
        };
        let words = comma(self.lacks.iter().map(|&name| name.to_owned()));
        let mut lines = fill([mark].into_iter().chain(words), MARK);
        if !everything && lines.len() > 1 {
            lines.truncate(1);
            // Leave room for the dots.
            while MARK + lines[0].len() + 4 > width() {
                let end = lines[0].rfind(' ').unwrap_or_default();
                lines[0].truncate(end);
            }
            lines[0] += " ...";
        }
        let lines: Vec<_> = lines.iter().map(|line| paint.bad(line)).collect();
        block(&names, MARK, &lines)
    }
}

impl Feature {
    fn new(id: FeatureId, host: Option<bool>) -> Self {
        let feature = id.feature();
        let register = match feature.place {
            Place::Cpuid(leaf, register, _) => Group::Cpuid(leaf, register),
            Place::Msr(index, _) | Place::Control(index, _) => Group::Msr(index),
        };
        Self {
            name: feature.name,
            aliases: feature.aliases,
            place: feature.place.to_string(),
            about: feature.about,
            host,
            register,
        }
    }
}

impl Group {
    fn name(self) -> String {
        match self {
            Self::Cpuid(leaf, register) => format!("{leaf}:{register}"),
            Self::Msr(index) => format!("MSR {index:#x} {}", super::msrs::name(index)).trim_end().to_owned(),
        }
    }
}

/// The name without the version's number.
fn name_of(name: &str) -> &str {
    name.rsplit_once("-v").map_or("", |(_, version)| version)
}

/// The usual name of a maker.
fn vendor(maker: &'static str) -> &'static str {
    match maker.trim() {
        "" => "any",
        "GenuineIntel" => "Intel",
        "AuthenticAMD" => "AMD",
        "HygonGenuine" => "Hygon",
        "CentaurHauls" | "Shanghai" => "Zhaoxin",
        _ => maker,
    }
}

#[cfg(test)]
#[path = "list_test.rs"]
mod tests;
