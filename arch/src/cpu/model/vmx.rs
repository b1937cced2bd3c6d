//! The VMX features of Intel's models, each as changes from the model before it.

use crate::cpu::feature::FeatureSet;

/// The `vmx-*` features of a model.
#[derive(Debug)]
pub(super) struct Vmx {
    /// The features to start from.
    pub(super) like: Option<&'static Self>,
    /// Names of the features to add.
    pub(super) added: &'static str,
    /// Names of the features to remove.
    pub(super) removed: &'static str,
}

impl Vmx {
    const fn added(like: &'static Self, added: &'static str) -> Self {
        Self { like: Some(like), added, removed: "" }
    }

    const fn removed(like: &'static Self, removed: &'static str) -> Self {
        Self { like: Some(like), added: "", removed }
    }

    /// All features, with those that it starts from.
    pub(super) fn features(&self) -> FeatureSet {
        let like = self.like.map_or_else(FeatureSet::default, Self::features);
        (like | FeatureSet::parse(self.added)) - FeatureSet::parse(self.removed)
    }
}

pub(super) static CORE_DUO: Vmx = Vmx {
    like: None,
    added: "
        vmx-activity-hlt vmx-exit-ack-intr vmx-hlt-exit vmx-intr-exit vmx-invlpg-exit vmx-io-bitmap
        vmx-io-exit vmx-monitor-exit vmx-movdr-exit vmx-msr-bitmap vmx-mwait-exit vmx-nmi-exit
        vmx-pause-exit vmx-rdpmc-exit vmx-rdtsc-exit vmx-tsc-offset vmx-vintr-pending
    ",
    removed: "",
};
pub(super) static KVM64: Vmx = Vmx {
    like: Some(&CORE_DUO),
    added: "
        vmx-cr8-load-exit vmx-cr8-store-exit vmx-entry-ia32e-mode vmx-flexpriority
    ",
    removed: "vmx-msr-bitmap",
};
pub(super) static CORE2: Vmx = Vmx::added(
    &CORE_DUO,
    "
        vmx-apicv-xapic vmx-cr8-load-exit vmx-cr8-store-exit vmx-entry-ia32e-mode vmx-flexpriority
        vmx-ins-outs vmx-secondary-ctls vmx-vnmi vmx-vnmi-pending
    ",
);
pub(super) static PENRYN: Vmx = Vmx::added(
    &CORE2,
    "
        vmx-entry-load-perf-global-ctrl vmx-exit-load-perf-global-ctrl vmx-wbinvd-exit
    ",
);
pub(super) static NEHALEM: Vmx = Vmx::added(
    &PENRYN,
    "
        vmx-apicv-x2apic vmx-cr3-load-noexit vmx-cr3-store-noexit vmx-desc-exit vmx-entry-load-efer
        vmx-entry-load-pat vmx-entry-noload-debugctl vmx-ept vmx-ept-1gb vmx-ept-2mb
        vmx-ept-execonly vmx-exit-load-efer vmx-exit-load-pat vmx-exit-nosave-debugctl
        vmx-exit-save-efer vmx-exit-save-pat vmx-exit-save-preemption-timer vmx-invept
        vmx-invept-all-context vmx-invept-single-context vmx-invept-single-context-noglobals
        vmx-invvpid vmx-invvpid-all-context vmx-invvpid-single-addr vmx-mtf vmx-page-walk-4
        vmx-preemption-timer vmx-true-ctls vmx-vpid
    ",
);
pub(super) static WESTMERE: Vmx = Vmx::added(&NEHALEM, "vmx-store-lma vmx-unrestricted-guest");
pub(super) static SANDY_BRIDGE: Vmx = Vmx::added(&WESTMERE, "vmx-rdtscp-exit");
pub(super) static IVY_BRIDGE: Vmx = Vmx::added(
    &SANDY_BRIDGE,
    "
        vmx-apicv-register vmx-apicv-vid vmx-posted-intr vmx-rdrand-exit
    ",
);
pub(super) static HASWELL: Vmx = Vmx::added(
    &IVY_BRIDGE,
    "
        vmx-eptad vmx-eptp-switching vmx-invpcid-exit vmx-shadow-vmcs vmx-vmfunc
        vmx-vmwrite-vmexit-fields
    ",
);
pub(super) static BROADWELL: Vmx = Vmx::added(&HASWELL, "vmx-pml vmx-rdseed-exit");
pub(super) static SKYLAKE_CLIENT: Vmx = Vmx::removed(
    &BROADWELL,
    "
        vmx-apicv-register vmx-apicv-vid vmx-apicv-x2apic vmx-posted-intr
    ",
);
pub(super) static SKYLAKE_SERVER: Vmx = Vmx::removed(&BROADWELL, "vmx-eptp-switching");
pub(super) static ICELAKE_SERVER: Vmx = Vmx::removed(&SKYLAKE_SERVER, "vmx-pml vmx-rdseed-exit");
pub(super) static DENVERTON: Vmx = Vmx::removed(&BROADWELL, "vmx-invpcid-exit");
pub(super) static SIERRA_FOREST: Vmx = Vmx::added(&BROADWELL, "vmx-xsaves");
pub(super) static SAPPHIRE_RAPIDS: Vmx = Vmx::added(&SIERRA_FOREST, "vmx-page-walk-5");
pub(super) static DIAMOND_RAPIDS: Vmx = Vmx::added(
    &SAPPHIRE_RAPIDS,
    "
        vmx-activity-shutdown vmx-activity-wait-sipi vmx-entry-load-cet vmx-entry-load-fred
        vmx-exit-save-cet vmx-exit-secondary-ctls vmx-nested-exception vmx-tsc-scaling
    ",
);
pub(super) static YONGFENG: Vmx = Vmx::removed(&BROADWELL, "vmx-rdseed-exit");
