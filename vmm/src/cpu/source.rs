//! The source of a CPU: this host's KVM or a recorded host, and the CPU that a specification gives there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use arch::cpu::{
    cpuid::Cpuid,
    host::HostCpu,
    msr,
    profile::CpuProfile,
    spec::{Nested, SpecError},
    topology::Topology,
};

use devices::printable::ToPrintable;

use crate::{
    args,
    config::{self, ConfigError},
    host::Host,
    small_file,
};

/// The options for the host.
#[derive(Debug, clap::Args)]
pub(super) struct HostArgs {
    /// A recorded host, of `nvmm cpu dump`
    ///
    /// A recorded host, as `nvmm cpu dump` prints it, instead of this one
    #[arg(long, value_name = "FILE", global = true)]
    host: Option<PathBuf>,
    /// KVM's device node
    #[arg(long, value_name = "PATH", default_value = "/dev/kvm", global = true)]
    kvm: PathBuf,
}

/// The further options that decide on a guest's CPU.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Shape {
    /// vCPUs, as a machine's --smp has them [default: 1]
    #[arg(long, value_name = "N")]
    smp: Option<String>,
    /// VMX or SVM, as for a machine
    #[arg(long, value_name = "off|auto|on", default_value = "auto", value_parser = args::nested)]
    nested: Nested,
}

/// A CPU as its guest sees it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// A vCPU's leaves.
    pub(super) cpuid: Cpuid,
    /// The MSRs that nvmm knows the value of: capabilities, and what it writes.
    pub(super) msrs: BTreeMap<u32, u64>,
}

/// Words that mean nothing.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Neither a CPU nor a feature.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// `--vcpu 4` of four.
    #[error("--vcpu {given}: there are 0 to {last}; --smp makes more")]
    Vcpu {
        /// The specification as it was given.
        given: u32,
        /// The last one.
        last: u32,
    },
}

impl HostArgs {
    /// This host, with its KVM.
    pub(super) fn of_kvm(kvm: &Path) -> Self {
        Self { host: None, kvm: kvm.to_owned() }
    }

    /// The host's CPU, if there is a host. Without KVM, an answer may still be possible; then `without` is printed on stderr.
    pub(super) fn ask(&self, without: &str) -> anyhow::Result<Option<HostCpu>> {
        match self.open() {
            Err(error) if self.host.is_none() => {
                eprintln!("nvmm: {without}: {error:#}");
                Ok(None)
            }
            host => host.map(Some),
        }
    }

    /// The host's CPU.
    pub(super) fn open(&self) -> anyhow::Result<HostCpu> {
        match &self.host {
            Some(path) => recorded(path),
            None => {
                let host = Host::open(&self.kvm);
                let mut host = host.context("no host to ask (--host FILE takes a recorded one)")?;
                host.read_tsc_khz();
                Ok(host.cpu)
            }
        }
    }
}

/// Reads a host's file.
///
/// # Errors
///
/// The file can't be read, or is not that of a recorded host.
pub(crate) fn recorded(path: &Path) -> anyhow::Result<HostCpu> {
    let text = small_file::read(path).with_context(|| path.printable().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a recorded host", path.printable()))
}

impl Shape {
    /// Parses a specification, and resolves it on this host.
    pub(super) fn resolve(&self, host: &HostCpu, spec: &str) -> anyhow::Result<(CpuProfile, Topology)> {
        let (spec, topology) = match config::cpu(spec, self.smp.as_deref(), self.nested, None) {
            Err(ConfigError::Cpu(error)) => return Err(UsageError::Spec(error).into()),
            parsed => parsed?,
        };
        Ok((CpuProfile::resolve(host, &spec, &topology)?, topology))
    }
}

impl Seen {
    /// The leaves and MSRs of a vCPU with this CPU.
    pub(super) fn new(profile: &CpuProfile, vcpu: u32) -> Self {
        let mut msrs = profile.capability_msrs().clone();
        msrs.extend(profile.msrs().iter().copied());
        msrs.extend(profile.mcg_cap().map(|cap| (msr::MCG_CAP, cap)));
        Self { cpuid: profile.leaves(vcpu), msrs }
    }
}
