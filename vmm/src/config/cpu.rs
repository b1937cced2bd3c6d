//! `--cpu`, `--smp` and `--nested`.

use std::path::Path;

use arch::cpu::{
    spec::{CpuSpec, Nested},
    topology::Topology,
};

use serde::Deserialize;

use super::{error::ConfigError, keys::keys};
use crate::{
    libvirt::{self, CpuElement},
    small_file,
    smp::Smp,
};

/// Parses `--cpu`, `--smp` and `--nested`. `text` is that of the file in `--cpu file:`, if it was read before.
///
/// # Errors
///
/// The value is invalid, or the file contains something else.
pub fn cpu(
    given: &str,
    smp: Option<&str>,
    nested: Nested,
    text: Option<&str>,
) -> Result<(CpuSpec, Topology), ConfigError> {
    let (spec, theirs) = match file(given) {
        None => (given.parse().map_err(ConfigError::Cpu)?, None),
        Some(path) => cpu_file(path, text)?,
    };
    let ours = smp.map(self::smp).transpose()?;
    let arranged = match (ours, theirs) {
        (Some(ours), None) => ours,
        (None, theirs) => theirs.unwrap_or_default(),
        (Some(ours), Some(theirs)) if ours == (Smp { cpus: ours.cpus, ..Smp::default() }) => {
            Smp { cpus: ours.cpus, ..theirs }
        }
        (Some(_), Some(_)) => return Err(ConfigError::TwoTopologies(smp.unwrap_or_default().to_owned())),
    };
    let topology =
        arranged.topology().map_err(|error| ConfigError::Smp(smp.unwrap_or(given).to_owned(), error))?;
    Ok((CpuSpec { nested, ..spec }, topology))
}

/// Returns the path in `--cpu file:PATH`.
pub(super) fn file(given: &str) -> Option<&Path> {
    given.strip_prefix("file:").map(Path::new)
}

/// Parses a CPU in libvirt's XML, with its `<topology>`, or the output of `nvmm cpu baseline`.
fn cpu_file(path: &Path, text: Option<&str>) -> Result<(CpuSpec, Option<Smp>), ConfigError> {
    let text = match text {
        Some(text) => text.to_owned(),
        None => small_file::read(path).map_err(|error| ConfigError::CpuFile(path.to_owned(), error))?,
    };
    if let Some(words) = words(&text) {
        let spec = words.parse().map_err(|error| ConfigError::CpuWords(path.to_owned(), error))?;
        return Ok((spec, None));
    }
    let CpuElement { spec, topology, ignored } =
        libvirt::parse(&text).map_err(|error| ConfigError::CpuXml(path.to_owned(), error))?;
    for ignored in ignored {
        log::warn!("--cpu file:{}: {ignored}", path.display());
    }
    Ok((spec, topology))
}

/// The value for `--cpu` in a file that contains it as a line, or as the member `cpu` of a JSON object.
fn words(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Baseline {
        cpu: String,
    }
    let line = text.trim();
    if line.starts_with('{') {
        return serde_json::from_str(line).ok().map(|Baseline { cpu }| cpu);
    }
    let plain = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    (plain && !line.contains('<')).then(|| line.to_owned())
}

fn smp(given: &str) -> Result<Smp, ConfigError> {
    let bare = !given.split(',').next().unwrap_or_default().contains('=');
    if bare { keys("--smp", given, &format!("cpus={given}")) } else { keys("--smp", given, given) }
}
