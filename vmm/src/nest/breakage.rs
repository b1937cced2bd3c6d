//! Levels broken on purpose, to see how that is told, or borne: `--cmdline nvmm.test=panic@2`.

use arch::cpu::feature::FeatureId;
use arch::cpu::spec::{CpuSpec, Setting, Want};

use super::image::Manifest;

const PARAMETER: &str = "nvmm.test=";

/// Returns the fault that `level` is to have.
fn wanted(level: u32, cmdline: &str) -> Option<&str> {
    let tests = cmdline.split_whitespace().filter_map(|word| word.strip_prefix(PARAMETER));
    let mut parts = tests.filter_map(|test| test.split_once('@'));
    parts.find(|(_, at)| at.parse() == Ok(level)).map(|(what, _)| what)
}

/// Kernel parameters with which `level` panics, if it is to: there is no such /init, and no disk with another.
pub(super) fn parameters(level: u32, manifest: &Manifest) -> &'static str {
    if wanted(level, &manifest.cmdline) == Some("panic") { "rdinit=/none" } else { "" }
}

/// Returns whether `level` is to load KVM while it is wrong about the rate of its TSC, and to go on once it knows better.
pub(super) fn misjudges_tsc(level: u32, manifest: &Manifest) -> bool {
    wanted(level, &manifest.cmdline) == Some("tsc")
}

/// Returns whether `level` is to hang in its /init.
pub(super) fn hangs(level: u32, manifest: &Manifest) -> bool {
    wanted(level, &manifest.cmdline) == Some("hang")
}

/// Takes a feature out of the CPU that `level` is promised, if it is to find another one.
pub(super) fn change(cpu: &mut CpuSpec, level: u32, manifest: &Manifest) {
    if wanted(level, &manifest.cmdline) == Some("cpu")
        && let Some(feature) = FeatureId::find("popcnt")
    {
        cpu.settings.push(Setting { feature, want: Want::Off });
    }
}

#[cfg(test)]
#[path = "breakage_test.rs"]
mod tests;
