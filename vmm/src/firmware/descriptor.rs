//! QEMU's firmware descriptors: `docs/interop/firmware.json`. In them, distributions describe where their builds are and what they need.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::image::Files;
use crate::small_file;

/// The folders. Files in later ones replace files with the same name in earlier ones.
const FOLDERS: [&str; 2] = ["usr/share/qemu/firmware", "etc/qemu/firmware"];
/// Features of builds that this machine can't run, with descriptions.
const UNUSABLE: [(&str, &str); 1] =
    [("requires-smm", "a Secure Boot build that needs System Management Mode")];
/// Features of builds for other kinds of guests.
const FOR_OTHERS: [&str; 3] = ["amd-sev-snp", "intel-tdx", "host-uefi-vars"];

/// A descriptor, as far as nvmm reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Descriptor {
    interface_types: Vec<String>,
    mapping: Mapping,
    targets: Vec<Target>,
    features: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "device", rename_all = "kebab-case")]
enum Mapping {
    #[serde(rename_all = "kebab-case")]
    Flash {
        executable: FlashFile,
        nvram_template: Option<FlashFile>,
    },
    Memory {
        filename: PathBuf,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct FlashFile {
    filename: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Target {
    architecture: String,
    machines: Vec<String>,
}

/// A build of UEFI for this kind of machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) files: Files,
    /// The reason why nvmm can't use it; none if nvmm can.
    pub(super) unusable: Option<&'static str>,
}

/// Returns the builds in the descriptors below `root`, the preferred ones first.
pub(super) fn builds(root: &Path) -> Vec<Build> {
    let mut paths = BTreeMap::new();
    for folder in FOLDERS {
        let Ok(folder) = fs::read_dir(root.join(folder)) else { continue };
        let files = folder.flatten().map(|entry| entry.path());
        let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.extend(json.map(|path| (path.file_name().map(ToOwned::to_owned), path)));
    }
    paths.values().filter_map(|path| read(path, root)).collect()
}

/// Reads a descriptor; none if it can't be read. An empty file hides another one with its name.
fn read(path: &Path, root: &Path) -> Option<Build> {
    let text = small_file::read(path).ok()?;
    let descriptor: Descriptor = match serde_json::from_str(&text) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            log::debug!("the firmware descriptor {}: {error}", path.display());
            return None;
        }
    };
    descriptor.build(root)
}

impl Descriptor {
    /// The build, if it is UEFI for this kind of machine.
    fn build(self, root: &Path) -> Option<Build> {
        let Self { interface_types, mapping, targets, features } = self;
        let has = |feature: &str| features.iter().any(|other| other == feature);
        let is_ours = interface_types.iter().any(|kind| kind == "uefi") && targets.iter().any(Target::is_q35);
        if !is_ours || FOR_OTHERS.into_iter().any(has) {
            return None;
        }
        // The names are absolute, and `join` would ignore `root` for these.
        let in_root = |path: PathBuf| root.join(path.strip_prefix("/").unwrap_or(&path));
        let files = match mapping {
            Mapping::Flash { executable, nvram_template } => Files {
                code: in_root(executable.filename),
                variables: nvram_template.map(|file| in_root(file.filename)),
            },
            Mapping::Memory { filename } => Files { code: in_root(filename), variables: None },
            Mapping::Other => return None,
        };
        let unusable = UNUSABLE.into_iter().find(|(feature, _)| has(feature)).map(|(_, why)| why);
        Some(Build { files, unusable })
    }
}

impl Target {
    /// Returns whether it is for a Q35 machine, such as `pc-q35-*`.
    fn is_q35(&self) -> bool {
        let machines = || self.machines.iter().map(String::as_str);
        self.architecture == "x86_64"
            && machines().any(|machine| machine == "q35" || machine.starts_with("pc-q35-"))
    }
}

#[cfg(test)]
#[path = "descriptor_test.rs"]
pub(super) mod tests;
