//! Named CPU models: QEMU's, bit for bit, and the psABI's levels of x86-64.

mod amd;
mod caches;
mod generic;
mod intel_atom;
mod intel_client;
mod intel_server;
mod psabi;
mod row;
mod signatures;
mod vmx;
mod zhaoxin;

use std::{collections::HashMap, sync::LazyLock};

pub use caches::Caches;
pub use row::NamedModel;

use self::row::Model;
use super::{
    cpuid::{Leaf, Registers},
    vendor::Manual,
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

struct Table {
    models: Vec<NamedModel>,
    numbers: HashMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let models: Vec<_> = PARTS.into_iter().flatten().flat_map(Model::names).collect();
    let numbers = models.iter().enumerate().map(|(number, model)| (model.name.clone(), number)).collect();
    Table { models, numbers }
});

/// Finds the model with this name, which may be a version or an alias. A name without a version stands for the first one, as on QEMU's `pc`
/// machines. Case matters.
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

/// Existing names that are most like one that doesn't exist, the best first.
#[must_use]
pub fn suggest(name: &str) -> Vec<&'static str> {
    crate::suggest::nearest(name, all().map(|model| model.name.as_str()))
}

#[cfg(test)]
#[path = "model_test.rs"]
mod tests;
