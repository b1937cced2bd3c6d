//! Sets of features that several steps of the pipeline treat specially.

use std::sync::LazyLock;

use super::{
    feature::{FeatureId, FeatureSet, Place},
    msr, svm,
};

/// The features that the topology decides on.
pub static TOPOLOGICAL: LazyLock<FeatureSet> = LazyLock::new(|| FeatureSet::parse("ht cmp-legacy"));
/// Features that QEMU removes from every named model on KVM: MWAIT and the thermal MSRs are missing, and nesting has to be asked for.
pub static KVM_LACKS: LazyLock<FeatureSet> = LazyLock::new(|| FeatureSet::parse("monitor acpi svm"));
/// Features that QEMU adds to every named model on KVM.
pub static KVM_BRINGS: LazyLock<FeatureSet> = LazyLock::new(|| {
    FeatureSet::parse(
        "hypervisor x2apic kvmclock kvmclock2 kvm-nopiodelay kvm-asyncpf kvm-steal-time kvm-pv-eoi kvmclock-stable-bit",
    )
});
/// Features that can't be migrated: a guest that relies on one TSC rate can't move to another host.
pub static NOT_MIGRATABLE: LazyLock<FeatureSet> = LazyLock::new(|| FeatureSet::parse("invtsc"));
/// VMX itself.
pub static VMX: LazyLock<FeatureSet> = LazyLock::new(|| FeatureSet::parse("vmx"));
/// SVM itself.
pub static SVM: LazyLock<FeatureSet> = LazyLock::new(|| FeatureSet::parse("svm"));
/// All features that the VMX capability MSRs report.
pub static VMX_PARTS: LazyLock<FeatureSet> = LazyLock::new(|| {
    let parts = FeatureId::all().filter(|id| match id.feature().place {
        Place::Msr(index, _) | Place::Control(index, _) => msr::VMX.contains(&index),
        Place::Cpuid(..) => false,
    });
    parts.collect()
});
/// All features that SVM's leaf reports.
pub static SVM_PARTS: LazyLock<FeatureSet> = LazyLock::new(|| {
    let parts = FeatureId::all()
        .filter(|id| matches!(id.feature().place, Place::Cpuid(leaf, ..) if leaf.function == svm::FUNCTION));
    parts.collect()
});
