//! A row of the table, and the models that it stands for.

use super::{caches::Caches, signatures, vmx::Vmx};
use crate::cpu::{feature::FeatureSet, signature::Signature, vendor::Vendor};

/// One version of a named model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedModel {
    /// The name, such as `Haswell`, `Haswell-v2` or `Haswell-noTSX`.
    pub name: String,
    /// The name of the version, if `name` is another name for it.
    pub alias_of: Option<String>,
    /// The version, from 1 on.
    pub version: u32,
    /// The maker of such CPUs, as the twelve letters of leaf 0; empty if they have none in particular.
    pub maker: &'static str,
    /// The CPU's family, model and stepping.
    pub signature: Signature,
    /// The last basic leaf, before features raise it.
    pub level: u32,
    /// The last extended function, before features raise it; 0 if there is none.
    pub xlevel: u32,
    /// The brand string, empty if it has none.
    pub brand: &'static str,
    /// The version of AVX10, 0 without it.
    pub avx10: u32,
    /// The features as defined, before an accelerator adds its own and takes away those that it lacks. `vmx-*` are the ones that the model
    /// has if `vmx` is added to it.
    pub features: FeatureSet,
    /// The caches.
    pub caches: Caches,
}

/// A row of the table: a model, and its versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) maker: &'static str,
    pub(super) signature: Signature,
    pub(super) level: u32,
    pub(super) xlevel: u32,
    pub(super) brand: &'static str,
    pub(super) avx10: u32,
    /// The features of version 1 by name, except for `vmx-*`.
    pub(super) features: &'static str,
    /// The `vmx-*` features of version 1.
    pub(super) vmx: Option<&'static Vmx>,
    pub(super) caches: Caches,
    /// The versions from 2 on.
    pub(super) versions: &'static [Version],
}

/// A later version of a model, as changes from the version before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    /// The version's other name.
    pub(super) alias: Option<&'static str>,
    pub(super) model: Option<u32>,
    pub(super) stepping: Option<u32>,
    pub(super) xlevel: Option<u32>,
    pub(super) brand: Option<&'static str>,
    pub(super) avx10: Option<u32>,
    pub(super) caches: Option<Caches>,
    /// Features that are added.
    pub(super) added: &'static str,
    /// Features that are removed.
    pub(super) removed: &'static str,
}

impl NamedModel {
    /// The maker of such CPUs; `None` if they have none in particular.
    #[must_use]
    pub fn vendor(&self) -> Option<Vendor> {
        Some(self.maker).filter(|maker| !maker.is_empty()).map(Vendor::named)
    }

    /// The model's name without a version or a variant: `Haswell` for `Haswell-noTSX`.
    #[must_use]
    pub fn generation(&self) -> &str {
        let versioned = self.alias_of.as_ref().unwrap_or(&self.name);
        versioned.rsplit_once("-v").map_or(versioned, |(generation, _)| generation)
    }

    /// Returns whether a processor with this signature is of this model's generation. A virtual processor with the model's own signature is
    /// too, although, for example, that of `Icelake-Server` is really Snow Ridge's.
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

impl Model {
    /// The common part of Intel's models.
    pub(super) const INTEL: Self = Self {
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
    /// The common part of AMD's models.
    pub(super) const AMD: Self = Self { maker: "AuthenticAMD", ..Self::INTEL };
    /// The common part of models without a maker.
    pub(super) const ANY: Self = Self { maker: "", ..Self::INTEL };

    /// All names of the model, each with the version that it stands for.
    pub(super) fn names(&self) -> Vec<NamedModel> {
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
    /// A version that changes nothing, as a base for others.
    pub(super) const SAME: Self = Self {
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
