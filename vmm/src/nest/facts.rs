//! The facts about a level that it finds itself: kernel, CPU, and its CPU's features for nesting.

use std::fs;

use arch::cpu::nesting::Virtualization;
use serde::{Deserialize, Serialize};

use crate::hypervisor;

/// A level's view of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Kernel release.
    pub kernel: String,
    /// CPU model name.
    pub cpu: String,
    /// `VMX EPT`, `SVM NPT`, `VMX` or `SVM` alone, or nothing.
    pub nesting: String,
    /// The hypervisor's signature in CPUID, KVM's if there are several; empty if CPUID shows none.
    pub hypervisor: String,
    /// The CPU's flags in /proc/cpuinfo, and those of VMX with `vmx-` in front. In reports to the host, only [`difference`]s from the level
    /// below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl Facts {
    /// Collects this machine's facts. /proc must be mounted.
    pub fn gather() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            nesting: nesting(&cpuinfo),
            hypervisor: hypervisor::signature(),
            features: features(&cpuinfo),
        }
    }
}

/// Finds the kind of virtualization of this machine's CPU, if it has one. /proc must be mounted.
pub fn virtualization() -> Option<Virtualization> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = field(&cpuinfo, "flags").unwrap_or_default();
    Virtualization::ALL.into_iter().find(|kind| flags.split(' ').any(|flag| flag == kind.name()))
}

fn nesting(cpuinfo: &str) -> String {
    // Since 5.11, kernels list VMX's features on a line of its own; `ept` is also still among the flags.
    let flags = field(cpuinfo, "flags").unwrap_or_default();
    let found = [("vmx", "VMX"), ("ept", "EPT"), ("svm", "SVM"), ("npt", "NPT")]
        .into_iter()
        .filter(|(flag, _)| flags.split(' ').any(|each| each == *flag))
        .map(|(_, name)| name);
    found.collect::<Vec<_>>().join(" ")
}

fn features(cpuinfo: &str) -> Vec<String> {
    let flags = |key| field(cpuinfo, key).unwrap_or_default().split_whitespace();
    let vmx = flags("vmx flags").map(|flag| format!("vmx-{flag}"));
    flags("flags").map(str::to_owned).chain(vmx).collect()
}

/// The value of `key` for the first CPU.
fn field<'a>(cpuinfo: &'a str, key: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim_end() == key).then_some(value.trim())
    })
}

/// Lists what `features` have beyond those of the level below (`+name`), and what they lack (`-name`): so only a few words go over the
/// consoles of the levels below, instead of a hundred.
pub fn difference(below: &[String], features: &[String]) -> Vec<String> {
    let lost = below.iter().filter(|name| !features.contains(name)).map(|name| format!("-{name}"));
    let gained = features.iter().filter(|name| !below.contains(name)).map(|name| format!("+{name}"));
    lost.chain(gained).collect()
}

/// Undoes [`difference`]. A full list, which has no signs, is not changed.
pub fn whole(below: &[String], said: Vec<String>) -> Vec<String> {
    if !said.iter().all(|name| name.starts_with(['+', '-'])) {
        return said;
    }
    let lost = |name: &str| said.iter().any(|each| each.strip_prefix('-') == Some(name));
    let kept = below.iter().filter(|name| !lost(name)).cloned();
    let gained = said.iter().filter_map(|name| name.strip_prefix('+')).map(str::to_owned);
    kept.chain(gained).collect()
}

#[cfg(test)]
#[path = "facts_test.rs"]
mod tests;
