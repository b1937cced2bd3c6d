//! Recorded readings of KVM's tracepoints, for tests.

use super::counts::Counts;

/// Level 0 of an emulated SVM host with Linux 6.1: the format of `kvm_exit`, and four readings of each histogram while level 2 worked. Rare
/// entries were left out.
pub(super) const SVM: &str = include_str!("../../../../resources/traces/svm-6.1.txt");

/// The readings at level 0 of an emulated VMX host with shadow VMCS, and the same kernel.
pub(super) const VMX: &str = include_str!("../../../../resources/traces/vmx-6.1.txt");

/// Parses the readings.
pub(super) fn looks(text: &str) -> Vec<Counts> {
    let histograms: Vec<_> = text.split("DUMP ").skip(1).collect();
    histograms.chunks_exact(4).map(|each| Counts::parse(each[0], each[1], each[2], each[3])).collect()
}
