//! The CPU in the user's words, which are QEMU's: `MODEL[,+feature|,-feature|,feature=on|off]...[,check|,enforce]`.

use std::{fmt, str::FromStr};

use super::{
    feature::FeatureId,
    host::Vendor,
    model::{self, NamedModel},
    suggest,
};

/// `--cpu` and `--nested`: all that a user can ask of a CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSpec {
    /// The CPU to start from.
    pub model: Model,
    /// What is wanted otherwise, in the user's order: later ones win.
    pub settings: Vec<Setting>,
    /// What to do about features that can't be given.
    pub policy: Policy,
    /// `--nested`.
    pub nested: Nested,
    /// Which caches the guest sees.
    pub caches: CacheMode,
    /// How wide its physical addresses are.
    pub physical_bits: PhysicalBits,
    /// The maker that the host's CPU has to have.
    pub vendor: Option<Vendor>,
    /// How far the CPU may differ from the one described.
    pub matching: Match,
}

/// A CPU to start from.
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

/// What is wanted of one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The feature.
    pub feature: FeatureId,
    /// What is wanted.
    pub want: Want,
}

/// What can be wanted of a feature: QEMU's two, and libvirt's policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// `+feature`: if it can be given.
    On,
    /// `-feature`.
    Off,
    /// `force`: shown to the guest whether the host has it or not.
    Force,
    /// `require`: or else no machine.
    Require,
    /// `optional`: if it can be given, and no word about it if not.
    Optional,
    /// `forbid`: no machine on a host that has it.
    Forbid,
}

/// What to do about features that can't be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// `check=off`: nothing.
    Ignore,
    /// `check`: say which.
    #[default]
    Check,
    /// `enforce`: refuse, and say which.
    Enforce,
}

/// `--nested`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nested {
    /// No trace of VMX or SVM.
    Off,
    /// As the CPU says.
    #[default]
    Auto,
    /// VMX or SVM is added to any CPU, and has to be possible.
    On,
}

/// Where the caches that a guest sees come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// The model's, or the host's if the CPU is the host's.
    #[default]
    Model,
    /// The host's.
    Passthrough,
    /// None.
    Disable,
}

/// How wide physical addresses are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhysicalBits {
    /// A named model's 40, or less if the host has less; the host's if the CPU is the host's.
    #[default]
    Model,
    /// As wide as the host's.
    Host,
    /// As wide as the host's, but no wider than this.
    HostUpTo(u32),
    /// This wide.
    Fixed(u32),
}

/// How far the CPU may differ from the one described; libvirt's `match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// Exactly what is described.
    #[default]
    Exact,
    /// What is described, and all else that the host has.
    Minimum,
    /// No machine unless the host has exactly what is described.
    Strict,
}

/// What is wrong with the words of `--cpu`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The first word names no CPU.
    #[error("unknown CPU {given:?}{}: `nvmm cpu list` shows all", suggestion(.nearest))]
    Model {
        /// What was given.
        given: String,
        /// What may have been meant.
        nearest: Vec<&'static str>,
    },
    /// A further word names no feature.
    #[error("unknown CPU feature {given:?}{}: `nvmm cpu list` shows all", suggestion(.nearest))]
    Feature {
        /// What was given.
        given: String,
        /// What may have been meant.
        nearest: Vec<&'static str>,
    },
    /// `feature=maybe`.
    #[error("{name}={value}: give on or off")]
    Switch {
        /// The feature or property.
        name: String,
        /// What was given.
        value: String,
    },
    /// A feature without a sign.
    #[error("{0:?}: give +{0} or -{0}, or {0}=on or {0}=off")]
    Sign(String),
    /// `phys-bits=100`.
    #[error("{name}={value}: give a number from {MIN_PHYSICAL_BITS} to {MAX_PHYSICAL_BITS}")]
    PhysicalBits {
        /// The property.
        name: String,
        /// What was given.
        value: String,
    },
    /// Nothing between two commas.
    #[error("an empty part in {0:?}: give MODEL,+feature,-feature")]
    Empty(String),
}

/// A 32-bit CPU with PAE has 36 bits, one without 32.
pub const MIN_PHYSICAL_BITS: u32 = 32;
/// What page tables have room for.
pub const MAX_PHYSICAL_BITS: u32 = 52;

/// Names for the host's CPU as it is.
const PASSTHROUGH: [&str; 3] = ["host-passthrough", "host", "max"];
const HOST_MODEL: &str = "host-model";

impl FromStr for CpuSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut words = text.split(',');
        let mut spec = Self { model: words.next().unwrap_or_default().parse()?, ..Self::default() };
        for word in words {
            spec.add(word, text)?;
        }
        Ok(spec)
    }
}

impl CpuSpec {
    fn add(&mut self, word: &str, whole: &str) -> Result<(), SpecError> {
        let (signed, name) = match word.split_at_checked(1) {
            Some(("+", name)) => (Some(Want::On), name),
            Some(("-", name)) => (Some(Want::Off), name),
            _ => (None, word),
        };
        if name.is_empty() {
            return Err(SpecError::Empty(whole.to_owned()));
        }
        if let Some(want) = signed {
            self.settings.push(Setting { feature: feature(name)?, want });
            return Ok(());
        }
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("check", value) => {
                self.policy =
                    if switch(name, value.unwrap_or("on"))? { Policy::Check } else { Policy::Ignore };
            }
            ("enforce", value) => {
                self.policy =
                    if switch(name, value.unwrap_or("on"))? { Policy::Enforce } else { Policy::Check };
            }
            ("host-cache-info", Some(value)) => {
                self.caches = if switch(name, value)? { CacheMode::Passthrough } else { CacheMode::Model };
            }
            ("caches", Some(value)) => {
                self.caches = if switch(name, value)? { CacheMode::Model } else { CacheMode::Disable };
            }
            ("host-phys-bits", Some(value)) => {
                self.physical_bits =
                    if switch(name, value)? { PhysicalBits::Host } else { PhysicalBits::Model };
            }
            ("host-phys-bits-limit", Some(value)) => {
                self.physical_bits = PhysicalBits::HostUpTo(physical_bits(name, value)?);
            }
            ("phys-bits", Some(value)) => {
                self.physical_bits = PhysicalBits::Fixed(physical_bits(name, value)?);
            }
            (name, Some(value)) => {
                let feature = feature(name)?;
                let want = if switch(name, value)? { Want::On } else { Want::Off };
                self.settings.push(Setting { feature, want });
            }
            (name, None) => {
                return Err(feature(name).map_or_else(|error| error, |_| SpecError::Sign(name.to_owned())));
            }
        }
        Ok(())
    }
}

fn feature(given: &str) -> Result<FeatureId, SpecError> {
    FeatureId::find(given)
        .ok_or_else(|| SpecError::Feature { given: given.to_owned(), nearest: FeatureId::suggest(given) })
}

fn physical_bits(name: &str, value: &str) -> Result<u32, SpecError> {
    let bits = value.parse().ok().filter(|bits| (MIN_PHYSICAL_BITS..=MAX_PHYSICAL_BITS).contains(bits));
    bits.ok_or_else(|| SpecError::PhysicalBits { name: name.to_owned(), value: value.to_owned() })
}

fn switch(name: &str, value: &str) -> Result<bool, SpecError> {
    match value {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => Err(SpecError::Switch { name: name.to_owned(), value: value.to_owned() }),
    }
}

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

/// CPUs with names like this one.
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

/// What `--cpu` takes, with libvirt's policies as the nearest of QEMU's words.
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
        match self.caches {
            CacheMode::Model => {}
            CacheMode::Passthrough => f.write_str(",host-cache-info=on")?,
            CacheMode::Disable => f.write_str(",caches=off")?,
        }
        match self.policy {
            Policy::Ignore => f.write_str(",check=off"),
            Policy::Check => Ok(()),
            Policy::Enforce => f.write_str(",enforce"),
        }
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

/// ` (did you mean a, b or c?)`, or nothing.
fn suggestion(nearest: &[&str]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!(" (did you mean {one}?)"),
        [some @ .., last] => format!(" (did you mean {} or {last}?)", some.join(", ")),
    }
}

#[cfg(test)]
#[path = "spec_test.rs"]
mod tests;
