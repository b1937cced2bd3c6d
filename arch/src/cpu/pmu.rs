//! Performance counters, which a guest may have or not: QEMU's `pmu`.
//!
//! If they are off, no leaf and no feature reports them, and the machine switches them off in KVM (`KVM_CAP_PMU_CAPABILITY`): an AMD guest
//! would find four counters without any leaf. SDM 3B, "Architectural Performance Monitoring"; APM 2, "Performance Monitoring Counters".

use std::sync::LazyLock;

use super::{
    cpuid::{Cpuid, Leaf},
    feature::FeatureSet,
    offer::Offer,
    patch::{self, Decision},
    spec::CpuSpec,
};

/// The architectural counters.
const COUNTERS: u32 = 0xa;
/// The functions about counters: Intel's two, and AMD's.
const FUNCTIONS: [u32; 3] = [COUNTERS, 0x23, 0x8000_0022];
/// The word that hides the counters.
pub(super) const OFF: &str = "pmu=off";

/// The features that make no sense without counters.
pub(super) static FEATURES: LazyLock<FeatureSet> =
    LazyLock::new(|| FeatureSet::parse("pdcm full-width-write arch-lbr perfctr-core perfctr-nb perfmon-v2"));

/// Returns whether the guest has counters. As in QEMU, the host's CPU has them, and a model only if they are asked for: their number is the
/// host's, so they can't be part of a model.
pub(super) fn wanted(spec: &CpuSpec, is_model: bool) -> bool {
    spec.pmu.unwrap_or(!is_model)
}

/// Gives a model's leaves the host's counters, or removes the host's.
pub(super) fn write(cpuid: &mut Cpuid, offer: &Offer, on: bool, decisions: &mut Vec<Decision>) {
    if !on {
        patch::hide(cpuid, &FUNCTIONS, ("performance counters", OFF), decisions);
    } else if cpuid.covers(COUNTERS) {
        let leaf = Leaf::new(COUNTERS);
        let hosts = offer.capabilities.cpuid.get(leaf);
        if !hosts.is_zero() {
            cpuid.0.insert(leaf, hosts);
        }
    }
}

#[cfg(test)]
#[path = "pmu_test.rs"]
mod tests;
