//! The hosts on which a saved machine can continue, by its CPU: libvirt's three modes.
//!
//! | mode | moves to |
//! | --- | --- |
//! | `host-passthrough` | hosts with the same processor: the guest may have learned what no feature tells, such as the processor's errata |
//! | `host-model` | hosts of the same maker that have its features |
//! | a named model | the same |

use std::fmt;

use anyhow::Result;
use arch::cpu::{
    cpuid::Leaf,
    host::HostCpu,
    lacking::Lacking,
    signature::Signature,
    spec::{CpuSpec, Model},
};

use super::manifest::{CpuRecord, Manifest};

/// The hosts to which a machine with a CPU can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mobility {
    /// Only those with the same processor.
    SameProcessor,
    /// Hosts that have all features of the CPU.
    Features,
}

/// A processor's maker, family, model and stepping.
struct Processor<'a>(&'a HostCpu);

impl CpuRecord {
    /// The hosts to which a machine with the CPU can move.
    pub(super) fn mobility(&self) -> Mobility {
        match self.spec.parse::<CpuSpec>() {
            Ok(CpuSpec { model: Model::Named(_) | Model::HostModel, .. }) => Mobility::Features,
            Ok(_) | Err(_) => Mobility::SameProcessor,
        }
    }

    /// The same as text.
    pub(super) fn moves_to(&self) -> String {
        match self.mobility() {
            Mobility::SameProcessor => {
                format!("to hosts with the same processor, {}: --cpu host-passthrough", Processor(&self.host))
            }
            Mobility::Features => format!("to {} hosts that have all of its CPU", self.host.vendor()),
        }
    }

    /// Everything of the guest's CPU that a host lacks.
    ///
    /// # Errors
    ///
    /// The host's CPUID is unusable.
    pub(super) fn lacking_on(&self, host: &HostCpu) -> Result<Vec<String>> {
        let mut lacking = Lacking::new(host)?.of_cpu(&self.features, &self.cpuid, &self.msrs.0);
        let [saved, here] = [&self.host, host].map(|host| (maker(host), signature(host)));
        if self.mobility() == Mobility::SameProcessor && saved != here {
            lacking.push(format!(
                "the processor that --cpu host-passthrough was of, {} (this host's is {}): save a machine that is to move with --cpu \
                 host-model, or a model that `nvmm cpu baseline` finds",
                Processor(&self.host),
                Processor(host)
            ));
        }
        Ok(lacking)
    }
}

impl Manifest {
    /// [`CpuRecord::lacking_on`] for the guest's CPU.
    pub(crate) fn lacking_on(&self, host: &HostCpu) -> Result<Vec<String>> {
        self.cpu.lacking_on(host)
    }
}

fn maker(host: &HostCpu) -> [u8; 12] {
    host.supported.get(Leaf::new(0)).maker()
}

fn signature(host: &HostCpu) -> Signature {
    Signature::decode(host.supported.get(Leaf::new(1)).eax)
}

/// Formats it as `Intel family 6 model 106 stepping 6`.
impl fmt::Display for Processor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Signature { family, model, stepping } = signature(self.0);
        write!(f, "{} family {family} model {model} stepping {stepping}", self.0.vendor())
    }
}

#[cfg(test)]
#[path = "guard_test.rs"]
mod tests;
