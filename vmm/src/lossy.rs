//! Names in JSON, whose strings are Unicode: bytes of a name that are not UTF-8 become U+FFFD.

use std::path::{Path, PathBuf};

use devices::printable::Untrusted;
use serde::Serializer;

/// A type that can be a name.
pub(crate) trait Name {
    /// The name as Unicode.
    fn to_unicode(&self) -> String;
}

impl Name for Path {
    fn to_unicode(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

impl Name for PathBuf {
    fn to_unicode(&self) -> String {
        self.as_path().to_unicode()
    }
}

impl Name for Untrusted {
    fn to_unicode(&self) -> String {
        self.to_lossy()
    }
}

/// Serializes a name.
pub(crate) fn name<N: Name, S: Serializer>(name: &N, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name.to_unicode())
}

/// Serializes a name that may be missing.
pub(crate) fn option<N: Name, S: Serializer>(name: &Option<N>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) => serializer.serialize_some(&name.to_unicode()),
        None => serializer.serialize_none(),
    }
}

/// Serializes a list of names.
pub(crate) fn list<N: Name, S: Serializer>(names: &[N], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(Name::to_unicode))
}
