//! `nvmm cpu baseline`: the best CPU that several hosts can all give.

use std::path::{Path, PathBuf};

use arch::cpu::{
    baseline::{Baseline, LeftOut},
    feature::FeatureId,
    host::HostCpu,
    profile::CpuProfile,
    spec::{CpuSpec, Model},
    topology::Topology,
};
use devices::printable::ToPrintable;
use serde::Serialize;

use super::source::{HostArgs, recorded};

/// The name for the host that nvmm runs on, beside the files of others.
const THIS_HOST: &str = "host";

/// The CPU, and the hosts that can give it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    /// The value for `--cpu`.
    cpu: String,
    vendor: String,
    model: String,
    nesting: &'static str,
    physical_address_bits: u32,
    features: Vec<&'static str>,
    hosts: Vec<Host>,
    /// The features that some of the hosts have and the CPU lacks.
    left_out: Vec<Left>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Host {
    name: String,
    brand: String,
    /// The model that host-model starts from on that host.
    host_model: Option<String>,
}

#[derive(Debug, Serialize)]
struct Left {
    feature: &'static str,
    /// The hosts that lack it. If empty: it can't be kept when a guest moves.
    lacking: Vec<String>,
}

impl Report {
    /// Reads the hosts in `files`, and finds what they have in common.
    pub(super) fn new(files: &[PathBuf], this: &HostArgs) -> anyhow::Result<Self> {
        let host = |path: &PathBuf| {
            let cpu = if path == Path::new(THIS_HOST) { this.open()? } else { recorded(path)? };
            Ok((path.printable().to_string(), cpu))
        };
        let hosts = files.iter().map(host).collect::<anyhow::Result<Vec<(String, HostCpu)>>>()?;
        let Baseline { spec, vendor, profile, left_out } = Baseline::of(&hosts)?;
        let left = |LeftOut { feature, lacking }: &LeftOut| Left {
            feature: feature.name(),
            lacking: lacking.iter().filter_map(|number| Some(hosts.get(*number)?.0.clone())).collect(),
        };
        Ok(Self {
            cpu: spec.to_string(),
            vendor: vendor.to_string(),
            model: spec.model.to_string(),
            nesting: profile.nesting().name(),
            physical_address_bits: profile.physical_address_width(),
            features: profile.features().iter().map(FeatureId::name).collect(),
            left_out: left_out.iter().map(left).collect(),
            hosts: hosts.iter().map(|(name, host)| Host::new(name, host)).collect::<Result<_, _>>()?,
        })
    }

    /// The value for `--cpu` on a line.
    pub(super) fn text(&self) -> String {
        format!("{}\n", self.cpu)
    }
}

impl Host {
    fn new(name: &str, host: &HostCpu) -> anyhow::Result<Self> {
        let topology = Topology::flat(1)?;
        let resolve = |model| CpuProfile::resolve(host, &CpuSpec { model, ..CpuSpec::default() }, &topology);
        let host_model = resolve(Model::HostModel).ok().map(|cpu| cpu.canonical().model.to_string());
        let brand = resolve(Model::HostPassthrough)?.brand();
        Ok(Self { name: name.to_owned(), brand, host_model })
    }
}
