//! The CPU in the user's words, which are QEMU's: `MODEL[,+feature|,-feature|,feature[=on|off]|,property=value]...`.

mod words;

use std::{fmt, str::FromStr};

pub use super::error::SpecError;
use super::{
    feature::FeatureId,
    identity::Identity,
    model::{self, NamedModel},
    vendor::Vendor,
};
use crate::suggest;

/// `--cpu` and `--nested`: all that a user can ask of a CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSpec {
    /// The CPU to start from.
    pub model: Model,
    /// The features to add or take away, in the user's order: later ones win.
    pub settings: Vec<Setting>,
    /// The action on features that can't be given.
    pub policy: Policy,
    /// `--nested`: with VMX or SVM, or without.
    pub nested: Nested,
    /// The caches that the guest sees.
    pub caches: CacheMode,
    /// The width of its physical addresses.
    pub physical_bits: PhysicalBits,
    /// The maker that the host's CPU has to have.
    pub vendor: Option<Vendor>,
    /// The allowed differences between the CPU and the description.
    pub matching: Match,
    /// The CPU's identity, and the number of its leaves.
    pub identity: Identity,
    /// `migratable=on`: leaves out what a guest could not keep on another host.
    pub migratable: bool,
    /// `kvm=off`: leaves out the leaves that tell a guest of KVM.
    pub hide_kvm: bool,
    /// `pmu`: performance counters on or off. By default, the host's CPU has them and models don't, as in QEMU.
    pub pmu: Option<bool>,
    /// `l3-cache=off`: hides the L3 cache.
    pub hide_l3: bool,
    /// `guest-phys-bits`: the number of bits of a physical address that a guest should use.
    pub guest_physical_bits: Option<u32>,
    /// `tsc-frequency`: the TSC's rate in kHz.
    pub tsc_khz: Option<u32>,
    /// `vmware-cpuid-freq`: a leaf gives the TSC's rate.
    pub tsc_leaf: bool,
    /// `kvm-pv-enforce-cpuid`: the guest may use only those of KVM's features that its leaf lists.
    pub enforce_pv: bool,
}

/// The CPU to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// All that KVM offers on this host.
    #[default]
    HostPassthrough,
    /// The named model of the host's generation, with the features that the host has.
    HostModel,
    /// A named model.
    Named(&'static NamedModel),
}

/// A wish for one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The feature.
    pub feature: FeatureId,
    /// The wish.
    pub want: Want,
}

/// The possible wishes for a feature: QEMU's two, and libvirt's policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// `+feature`: give it if possible.
    On,
    /// `-feature`: take it away.
    Off,
    /// `force`: show it to the guest even if the host lacks it.
    Force,
    /// `require`: refuse to start without it.
    Require,
    /// `optional`: give it if possible, and say nothing if not.
    Optional,
    /// `forbid`: refuse to start on a host that has it.
    Forbid,
}

/// The action on features that can't be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// `check=off`: do nothing.
    Ignore,
    /// `check`: name them.
    #[default]
    Check,
    /// libvirt's `check='partial'`: refuse if it is a feature of the model or of the list; name those that are missing of KVM's own.
    Partial,
    /// `enforce`: refuse, and name them.
    Enforce,
    /// libvirt's `check='full'`: as `enforce`, and refuse too if KVM shows the guest more than was asked for.
    Full,
}

/// `--nested`: with VMX or SVM, or without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nested {
    /// The guest sees no trace of VMX or SVM.
    Off,
    /// The CPU's words decide.
    #[default]
    Auto,
    /// VMX or SVM is added to any CPU. A host that can't give it is refused.
    On,
}

/// The source of the caches that a guest sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// The model's, or the host's if the CPU is the host's.
    #[default]
    Model,
    /// The model's, or QEMU's own if the CPU is the host's.
    Emulate,
    /// The host's.
    Passthrough,
    /// No caches.
    Disable,
}

/// The width of physical addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhysicalBits {
    /// A named model has 40, or fewer if the host has fewer. The host's CPU has the host's width.
    #[default]
    Model,
    /// The host's width.
    Host,
    /// The host's width, but at most this.
    HostUpTo(u32),
    /// Exactly this width.
    Fixed(u32),
}

/// The allowed differences between the CPU and the description; libvirt's `match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// Exactly the described features.
    #[default]
    Exact,
    /// The described features, and all others that the host has.
    Minimum,
    /// The described features, on a host that has exactly these.
    Strict,
}

/// Names for the host's CPU as it is.
const PASSTHROUGH: [&str; 3] = ["host-passthrough", "host", "max"];
const HOST_MODEL: &str = "host-model";

impl FromStr for Model {
    type Err = SpecError;

    fn from_str(name: &str) -> Result<Self, SpecError> {
        if PASSTHROUGH.contains(&name) {
            return Ok(Self::HostPassthrough);
        }
        if name == HOST_MODEL {
            return Ok(Self::HostModel);
        }
        model::find(name)
            .map(Self::Named)
            .ok_or_else(|| SpecError::Model { given: name.to_owned(), nearest: suggest(name) })
    }
}

/// Names of CPUs that are like this one.
fn suggest(name: &str) -> Vec<&'static str> {
    let hosts = PASSTHROUGH.into_iter().chain([HOST_MODEL]);
    suggest::nearest(name, hosts.chain(model::all().map(|model| model.name.as_str())))
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostPassthrough => PASSTHROUGH[0],
            Self::HostModel => HOST_MODEL,
            Self::Named(model) => &model.name,
        })
    }
}

/// Writes the words of `--cpu`. libvirt's policies become the nearest of QEMU's words.
impl fmt::Display for CpuSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.model)?;
        for Setting { feature, want } in &self.settings {
            let sign = match want {
                Want::Off | Want::Forbid => '-',
                Want::On | Want::Force | Want::Require | Want::Optional => '+',
            };
            write!(f, ",{sign}{feature}")?;
        }
        match self.physical_bits {
            PhysicalBits::Model => {}
            PhysicalBits::Host => f.write_str(",host-phys-bits=on")?,
            PhysicalBits::HostUpTo(bits) => write!(f, ",host-phys-bits-limit={bits}")?,
            PhysicalBits::Fixed(bits) => write!(f, ",phys-bits={bits}")?,
        }
        if let Some(bits) = self.guest_physical_bits {
            write!(f, ",guest-phys-bits={bits}")?;
        }
        f.write_str(match self.caches {
            CacheMode::Model => "",
            CacheMode::Emulate => ",host-cache-info=off",
            CacheMode::Passthrough => ",host-cache-info=on",
            CacheMode::Disable => ",caches=off",
        })?;
        let word = |on: bool, word| if on { word } else { "" };
        f.write_str(word(self.hide_l3, ",l3-cache=off"))?;
        write!(f, "{}", self.identity)?;
        f.write_str(word(self.migratable, ",migratable=on"))?;
        f.write_str(word(self.hide_kvm, ",kvm=off"))?;
        f.write_str(word(self.enforce_pv, ",kvm-pv-enforce-cpuid=on"))?;
        f.write_str(self.pmu.map_or("", |pmu| if pmu { ",pmu=on" } else { ",pmu=off" }))?;
        if let Some(khz) = self.tsc_khz {
            write!(f, ",tsc-frequency={}", u64::from(khz) * 1000)?;
        }
        f.write_str(word(self.tsc_leaf, ",vmware-cpuid-freq=on"))?;
        f.write_str(match self.policy {
            Policy::Ignore => ",check=off",
            // libvirt's checks have no word here.
            Policy::Check | Policy::Partial | Policy::Full => "",
            Policy::Enforce => ",enforce",
        })
    }
}

impl FromStr for Nested {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
#[path = "spec_test.rs"]
mod tests;
