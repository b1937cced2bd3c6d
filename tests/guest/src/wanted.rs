//! The tests that level 0 must run: their names, in a file of its image.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context;
use vmm::nest::image;

/// The file, with a name on each line.
pub(crate) const FILE: &str = "wanted";

/// Their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted(BTreeSet<String>);

impl Wanted {
    /// Selects from the tests `planned` for every run: all of them or, if `part` is given, those whose names contain it, also from those
    /// that are too `long` for every run.
    pub(crate) fn choose(planned: Vec<String>, long: &[&str], part: Option<&str>) -> Self {
        let Some(part) = part else { return Self(planned.into_iter().collect()) };
        let all = planned.into_iter().chain(long.iter().copied().map(str::to_owned));
        Self(all.filter(|name| name.contains(part)).collect())
    }

    /// Reads the file of level 0's image.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let path = image::in_root(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self(text.lines().map(str::to_owned).collect()))
    }

    /// The file's content.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        self.0.iter().flat_map(|name| [name.as_bytes(), b"\n"].concat()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Returns whether one of `names` is wanted: a test with many outcomes runs for any of them.
    pub(crate) fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_names(self) -> BTreeSet<String> {
        self.0
    }
}

#[cfg(test)]
#[path = "wanted_test.rs"]
mod tests;
