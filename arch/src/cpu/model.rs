//! Named CPU models: QEMU's, bit for bit, and the psABI's levels of x86-64.

mod amd;
mod caches;
mod generic;
mod intel_atom;
mod intel_client;
mod intel_server;
mod psabi;
mod signatures;
mod vmx;
mod zhaoxin;

use std::{collections::HashMap, sync::LazyLock};

pub use caches::Caches;

use self::vmx::Vmx;
use super::{
    cpuid::{Leaf, Registers},
    feature::FeatureSet,
    host::{Manual, Vendor},
};

/// The table, in parts.
const PARTS: [&[Model]; 7] = [
    generic::MODELS,
    psabi::MODELS,
    intel_client::MODELS,
    intel_server::MODELS,
    intel_atom::MODELS,
    amd::MODELS,
    zhaoxin::MODELS,
];

/// A named model, one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedModel {
    /// Its name, such as `Haswell`, `Haswell-v2` or `Haswell-noTSX`.
    pub name: String,
    /// Which version this is a further name of.
    pub alias_of: Option<String>,
    /// The version, from 1 on.
    pub version: u32,
    /// Who makes such CPUs, in the twelve letters of leaf 0; empty if nobody in particular.
    pub maker: &'static str,
    /// What the CPU says of its age.
    pub signature: Signature,
    /// The last basic leaf, before features raise it.
    pub level: u32,
    /// The last extended function, before features raise it; 0 if there is none.
    pub xlevel: u32,
    /// The brand string, empty if it has none.
    pub brand: &'static str,
    /// The version of AVX10, 0 without it.
    pub avx10: u32,
    /// The features as defined: before an accelerator adds its own, and takes away what it lacks. `vmx-*` are those that the model
    /// has if it is given `vmx`.
    pub features: FeatureSet,
    /// The caches.
    pub caches: Caches,
}

/// What CPUID says of a CPU's age, extended parts added in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Family.
    pub family: u32,
    /// Model.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
}

/// A row of the table: a model, and its versions.
#[derive(Clone, Copy, Debug)]
struct Model {
    name: &'static str,
    maker: &'static str,
    signature: Signature,
    level: u32,
    xlevel: u32,
    brand: &'static str,
    avx10: u32,
    /// The features of version 1 by name, but for `vmx-*`.
    features: &'static str,
    /// The `vmx-*` features of version 1.
    vmx: Option<&'static Vmx>,
    caches: Caches,
    /// From version 2 on.
    versions: &'static [Version],
}

/// A later version of a model: what changes from the one before.
#[derive(Clone, Copy, Debug)]
struct Version {
    /// The version's other name.
    alias: Option<&'static str>,
    model: Option<u32>,
    stepping: Option<u32>,
    xlevel: Option<u32>,
    brand: Option<&'static str>,
    avx10: Option<u32>,
    caches: Option<Caches>,
    /// Features that come.
    added: &'static str,
    /// Features that go.
    removed: &'static str,
}

struct Table {
    models: Vec<NamedModel>,
    numbers: HashMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let models: Vec<_> = PARTS.into_iter().flatten().flat_map(Model::names).collect();
    let numbers = models.iter().enumerate().map(|(number, model)| (model.name.clone(), number)).collect();
    Table { models, numbers }
});

/// The model of this name, a version of one, or an alias. Without a version it is the first, as on QEMU's `pc` machines. Case matters.
#[must_use]
pub fn find(name: &str) -> Option<&'static NamedModel> {
    TABLE.numbers.get(name).map(|&number| &TABLE.models[number])
}

/// Every name once: models, their versions, and aliases.
pub fn all() -> impl Iterator<Item = &'static NamedModel> {
    TABLE.models.iter()
}

/// QEMU's own caches, for a CPU that has no model.
pub(super) fn generic_caches(manual: Manual) -> Vec<(Leaf, Registers)> {
    Caches::LEGACY.leaves(manual)
}

/// The names most like one that doesn't exist, the best first.
#[must_use]
pub fn suggest(name: &str) -> Vec<&'static str> {
    super::suggest::nearest(name, all().map(|model| model.name.as_str()))
}

impl NamedModel {
    /// Whose CPUs these are; `None` if nobody's in particular.
    #[must_use]
    pub fn vendor(&self) -> Option<Vendor> {
        Some(self.maker).filter(|maker| !maker.is_empty()).map(Vendor::named)
    }

    /// Its name without a version, or without what its versions are called: `Haswell` for `Haswell-noTSX`.
    #[must_use]
    pub fn generation(&self) -> &str {
        let versioned = self.alias_of.as_ref().unwrap_or(&self.name);
        versioned.rsplit_once("-v").map_or(versioned, |(generation, _)| generation)
    }

    /// Whether a processor with this signature is of this model's generation. A virtual one with the model's own signature is too: that of
    /// `Icelake-Server` is Snow Ridge's.
    #[must_use]
    pub fn is_of(&self, signature: Signature) -> bool {
        let row = signatures::PROCESSORS.iter().find(|row| row.generation == self.generation());
        row.is_some_and(|row| self.signature == signature || row.contain(signature))
    }

    fn next(&mut self, change: &Version) {
        self.version += 1;
        self.signature.model = change.model.unwrap_or(self.signature.model);
        self.signature.stepping = change.stepping.unwrap_or(self.signature.stepping);
        self.xlevel = change.xlevel.unwrap_or(self.xlevel);
        self.brand = change.brand.unwrap_or(self.brand);
        self.avx10 = change.avx10.unwrap_or(self.avx10);
        self.caches = change.caches.unwrap_or(self.caches);
        self.features = (self.features | FeatureSet::parse(change.added)) - FeatureSet::parse(change.removed);
    }
}

impl Signature {
    const fn new(family: u32, model: u32, stepping: u32) -> Self {
        Self { family, model, stepping }
    }

    /// From `EAX` of leaf 1: SDM 2A, "Version Information Returned by CPUID in EAX". The extended family counts only beside family 15, and
    /// the extended model beside 6 and 15. Zhaoxin has one beside 7 too, so it counts from 6 on, as Linux has it.
    #[must_use]
    pub fn decode(eax: u32) -> Self {
        let bits = |high: u32, low: u32| eax >> low & (u32::MAX >> (31 - (high - low)));
        let family = bits(11, 8);
        Self {
            family: if family == 15 { family + bits(27, 20) } else { family },
            model: bits(7, 4) | if family >= 6 { bits(19, 16) << 4 } else { 0 },
            stepping: bits(3, 0),
        }
    }
}

impl Model {
    /// What most of Intel's have.
    const INTEL: Self = Self {
        name: "",
        maker: "GenuineIntel",
        signature: Signature::new(0, 0, 0),
        level: 0,
        xlevel: 0,
        brand: "",
        avx10: 0,
        features: "",
        vmx: None,
        caches: Caches::LEGACY,
        versions: &[],
    };
    /// What most of AMD's have.
    const AMD: Self = Self { maker: "AuthenticAMD", ..Self::INTEL };
    /// What goes for any maker.
    const ANY: Self = Self { maker: "", ..Self::INTEL };

    /// All that it is called, and what it is under each name.
    fn names(&self) -> Vec<NamedModel> {
        let vmx = self.vmx.map_or_else(FeatureSet::default, Vmx::features);
        let mut model = NamedModel {
            name: String::new(),
            alias_of: None,
            version: 1,
            maker: self.maker,
            signature: self.signature,
            level: self.level,
            xlevel: self.xlevel,
            brand: self.brand,
            avx10: self.avx10,
            features: FeatureSet::parse(self.features) | vmx,
            caches: self.caches,
        };
        let mut names = Vec::new();
        let mut name = |model: &NamedModel, alias: Option<&str>| {
            let versioned = format!("{}-v{}", self.name, model.version);
            let alias = alias.map(|alias| (alias.to_owned(), Some(versioned.clone())));
            for (name, alias_of) in alias.into_iter().chain([(versioned, None)]) {
                names.push(NamedModel { name, alias_of, ..model.clone() });
            }
        };
        name(&model, Some(self.name));
        for version in self.versions {
            model.next(version);
            name(&model, version.alias);
        }
        names
    }
}

impl Version {
    /// Nothing changes.
    const SAME: Self = Self {
        alias: None,
        model: None,
        stepping: None,
        xlevel: None,
        brand: None,
        avx10: None,
        caches: None,
        added: "",
        removed: "",
    };
}

#[cfg(test)]
#[path = "model_test.rs"]
mod tests;
