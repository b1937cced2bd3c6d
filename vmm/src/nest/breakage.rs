//! Breaks levels on purpose, to test how that is reported or handled: `--cmdline nvmm.test=panic@2`.

use arch::cpu::feature::FeatureId;
use arch::cpu::spec::{CpuSpec, Setting, Want};

use super::image::Manifest;

const PARAMETER: &str = "nvmm.test=";

/// Returns the fault that is wanted for `level`.
fn wanted(level: u32, cmdline: &str) -> Option<&str> {
    let tests = cmdline.split_whitespace().filter_map(|word| word.strip_prefix(PARAMETER));
    let mut parts = tests.filter_map(|test| test.split_once('@'));
    parts.find(|(_, at)| at.parse() == Ok(level)).map(|(what, _)| what)
}

/// Kernel parameters that make `level` panic, if that is wanted: there is no such /init, and no disk with another.
pub(super) fn parameters(level: u32, manifest: &Manifest) -> &'static str {
    if wanted(level, &manifest.cmdline) == Some("panic") { "rdinit=/none" } else { "" }
}

/// Returns whether `level` should load KVM while it has a wrong TSC rate, and continue after it has measured the rate.
pub(super) fn misjudges_tsc(level: u32, manifest: &Manifest) -> bool {
    wanted(level, &manifest.cmdline) == Some("tsc")
}

/// Returns whether `level` should hang in its /init.
pub(super) fn hangs(level: u32, manifest: &Manifest) -> bool {
    wanted(level, &manifest.cmdline) == Some("hang")
}

/// Takes a feature out of the CPU that is promised to `level`, if it should find a difference.
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
